//! The blur direction: what the vectors of all small, blurred faces have in common.
//!
//! Faces of a few pixels look alike to the network, whoever they are, so strangers in a crowd come out similar.
//! The mean unit vector of sharp faces degraded to 6–8 px and enlarged again is that shared part; without it, pairs of
//! strangers in a crowd pass the threshold several times less often and sharp portraits are compared as before.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::{MobileFaceNet, embedding::normalise, weights::bad_model};
use error::{Error, Result};

/// The tensor's name in its file.
pub(super) const TENSOR: &str = "blur_direction";

/// Sides to which aligned crops are reduced: a face is about two thirds as wide as its aligned crop.
const REDUCED_SIDES_PX: [usize; 5] = [8, 9, 10, 11, 12];

const SIDE_PX: usize = MobileFaceNet::SIDE_PX;

/// An aligned face of [`MobileFaceNet::SIDE_PX`]²: BGR, 0..=255, row by row.
pub type AlignedFace = Vec<f32>;

/// The blur direction of `embedder`, of unit length, from aligned sharp faces.
///
/// # Errors
/// `invalid` when there is no face or one has another size.
pub fn estimate(embedder: &MobileFaceNet, faces: &[AlignedFace]) -> Result<Vec<f32>> {
    if faces.is_empty() || faces.iter().any(|face| face.len() != SIDE_PX * SIDE_PX * 3) {
        return Err(Error::invalid(format!("the blur direction needs aligned faces of {SIDE_PX}×{SIDE_PX} pixels")));
    }
    let mut sum = vec![0.0; embedder.defaults().dimension as usize];
    for (face, side) in faces.iter().flat_map(|face| REDUCED_SIDES_PX.map(|side| (face, side))) {
        let pixels: Vec<f32> = degrade(face, side).iter().map(|value| (value - 127.5) / 128.0).collect();
        let unusable = |error| Error::internal("a face cannot be embedded").with_source(error);
        let input = Tensor::from_vec(pixels, (1, SIDE_PX, SIDE_PX, 3), &Device::Cpu).map_err(unusable)?;
        let raw = embedder.forward(&input)?.flatten_all().and_then(|raw| raw.to_vec1::<f32>());
        let mut vector = raw.map_err(unusable)?;
        normalise(&mut vector);
        sum.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += value);
    }
    normalise(&mut sum);
    Ok(sum)
}

/// Estimates the direction from the PNG files of a folder of aligned faces and writes it as safetensors.
///
/// # Errors
/// As for [`estimate`], and `invalid` when a file cannot be read or written.
pub fn estimate_from_files(embedder: &MobileFaceNet, faces_dir: &Path, out: &Path) -> Result<()> {
    let direction = estimate(embedder, &read_faces(faces_dir)?)?;
    let length = direction.len();
    Tensor::from_vec(direction, length, &Device::Cpu)
        .and_then(|tensor| tensor.save_safetensors(TENSOR, out))
        .map_err(|error| Error::invalid(format!("{}: cannot be written", out.display())).with_source(error))
}

/// Reads the PNG files of a folder, in the order of their names.
pub(super) fn read_faces(folder: &Path) -> Result<Vec<AlignedFace>> {
    let unreadable = |path: &Path| format!("{}: cannot be read", path.display());
    let entries = std::fs::read_dir(folder).map_err(|error| Error::invalid(unreadable(folder)).with_source(error))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let image = image::open(path).map_err(|error| Error::invalid(unreadable(path)).with_source(error))?;
        Ok(image.to_rgb8().pixels().flat_map(|&image::Rgb([r, g, b])| [b, g, r].map(f32::from)).collect())
    };
    files.iter().map(read).collect()
}

/// Reads a direction of `dimension` numbers from a safetensors file's bytes.
pub(super) fn load(file: &str, bytes: &[u8], dimension: usize) -> Result<Vec<f32>> {
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
        .map_err(|error| bad_model(format!("{file}: not a whole safetensors file")).with_source(error))?;
    let direction = tensors.get(TENSOR).and_then(|tensor| tensor.to_vec1::<f32>().ok()).unwrap_or_default();
    let unit = direction.iter().map(|value| value * value).sum::<f32>();
    if direction.len() == dimension && (unit - 1.0).abs() < 1e-3 {
        Ok(direction)
    } else {
        Err(bad_model(format!("{file}: {TENSOR} is not one unit vector of {dimension} numbers")))
    }
}

/// Reduces a face to `side` pixels by area and enlarges it again bilinearly.
fn degrade(face: &[f32], side: usize) -> Vec<f32> {
    let scale = SIDE_PX as f32 / side as f32;
    let reduce = |target: usize| -> Taps {
        let (start, end) = (target as f32 * scale, (target + 1) as f32 * scale);
        (start as usize..(end.ceil() as usize).min(SIDE_PX))
            .map(|source| (source, (end.min(source as f32 + 1.0) - start.max(source as f32)) / scale))
            .collect()
    };
    let enlarge = |target: usize| -> Taps {
        let at = ((target as f32 + 0.5) / scale - 0.5).clamp(0.0, (side - 1) as f32);
        let (first, fraction) = (at as usize, at.fract());
        vec![(first, 1.0 - fraction), ((first + 1).min(side - 1), fraction)]
    };
    let reduced = resample(face, SIDE_PX, &(0..side).map(reduce).collect::<Vec<_>>());
    resample(&reduced, side, &(0..SIDE_PX).map(enlarge).collect::<Vec<_>>())
}

/// The source pixels of one target pixel along one axis, and their weights.
type Taps = Vec<(usize, f32)>;

/// Resamples a square BGR image of `side` pixels along both axes.
fn resample(image: &[f32], side: usize, taps: &[Taps]) -> Vec<f32> {
    let mut output = Vec::with_capacity(taps.len() * taps.len() * 3);
    for rows in taps {
        for columns in taps {
            for channel in 0..3 {
                let weighted = rows.iter().flat_map(|&(y, down)| {
                    columns.iter().map(move |&(x, across)| image[(y * side + x) * 3 + channel] * down * across)
                });
                output.push(weighted.sum::<f32>());
            }
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Networks;

    fn portraits() -> Vec<AlignedFace> {
        read_faces(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/portraits/aligned")).unwrap()
    }

    #[test]
    fn degrading_keeps_the_mean_and_loses_the_detail() {
        let face = &portraits()[0];
        let blurred = degrade(face, 8);
        let mean = |image: &[f32]| image.iter().sum::<f32>() / image.len() as f32;
        let detail = |image: &[f32]| image.windows(4).map(|w| (w[3] - w[0]).abs()).sum::<f32>();
        assert!((mean(face) - mean(&blurred)).abs() < 2.0);
        assert!(detail(&blurred) < detail(face) / 2.0);
    }

    #[test]
    fn the_stored_direction_is_what_the_portraits_give() {
        let embedder = Networks::embedded().unwrap().embedder;
        let direction = estimate(&embedder, &portraits()).unwrap();
        let stored = embedder.blur_direction().unwrap();
        let cosine: f32 = direction.iter().zip(stored).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999, "{cosine}");
    }

    #[test]
    fn no_face_and_a_face_of_another_size_are_refused() {
        let embedder = Networks::embedded().unwrap().embedder;
        assert_eq!(estimate(&embedder, &[]).unwrap_err().code(), "invalid");
        assert_eq!(estimate(&embedder, &[vec![0.0; 12]]).unwrap_err().code(), "invalid");
    }
}
