//! detect: pixels to boxes, landmarks and scores, and the choice among them.

use std::cmp::Ordering;

use super::{
    messages::{Decoded, Detected},
    networks::tensor,
    request::FaceChoice,
    station::Station,
    tools::{PipelineOptions, Tools},
};
use crate::{
    domain::Detection,
    error::{Error, ErrorKind, Result},
    nn::Networks,
    runtime::{Stage, StageContext, StageSender},
    vision::{
        Photo,
        detector_input::{DetectorInput, detector_input},
        tiles,
    },
};

const HERE: Station = Station::Detect;

/// Tiles overlap by one part in so many: a face on the border of one is whole in the next.
const TILE_OVERLAP: u32 = 5;

/// A face is clearly the largest if every other one has at most this share of its area.
const CLEARLY_LARGEST: f32 = 0.5;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Detect {
    pub(super) tools: Tools,
    pub(super) next: StageSender<Detected>,
}

impl Stage for Detect {
    type Message = Decoded;

    fn handle(&self, message: Decoded, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.detect(message, &context).await }
    }
}

impl Detect {
    async fn detect(&self, message: Decoded, context: &StageContext) {
        let Decoded { mut ticket, photo } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let (networks, options) = (self.tools.networks.get(), self.tools.options.clone());
        let (pixels, choice) = (photo.clone(), ticket.wanted().faces);
        let detected = self.tools.work(&mut ticket, HERE, move || {
            let mut faces = detect_faces(&pixels.photo, &networks, &options)?;
            faces.truncate(options.max_faces);
            choose(faces, choice)
        });
        match detected.await {
            Ok(faces) => {
                self.tools.pass_on(&self.next, Detected { ticket, photo, faces }).await;
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

/// All faces of a photo in its own pixels, best score first.
pub fn detect_faces(photo: &Photo, networks: &Networks, options: &PipelineOptions) -> Result<Vec<Detection>> {
    let whole = detect_once(photo, networks, options)?;
    let mut in_tiles = Vec::new();
    if options.tile_above_px > 0 && photo.longest_side() > options.tile_above_px {
        let side = options.long_side_px;
        for tile in tiles::split(photo.width(), photo.height(), side, side / TILE_OVERLAP)? {
            let found = detect_once(&tile.cut(photo)?, networks, options)?;
            in_tiles.push((tile, found));
        }
    }
    Ok(tiles::merge(whole, in_tiles, options.nms_iou))
}

/// The detector's raw finds, in the photo's own pixels.
fn detect_once(photo: &Photo, networks: &Networks, options: &PipelineOptions) -> Result<Vec<Detection>> {
    let DetectorInput { tensor: pixels, rows, cols, scale } = detector_input(photo, options.long_side_px, Vec::new())?;
    let input = tensor(pixels, (1, rows, cols, Photo::CHANNELS))?;
    let mut found = networks.detector.forward(&input)?.detections(options.min_score);
    for face in &mut found {
        face.scale(1.0 / scale);
    }
    Ok(found)
}

/// The faces that are meant by `choice`.
///
/// # Errors
/// `Unprocessable` with the code `no_face` or `several_faces` when exactly one is wanted and it cannot be told.
pub fn choose(faces: Vec<Detection>, choice: FaceChoice) -> Result<Vec<Detection>> {
    if choice == FaceChoice::All {
        return Ok(faces);
    }
    let by_area = |a: &&Detection, b: &&Detection| a.bbox.area().partial_cmp(&b.bbox.area()).unwrap_or(Ordering::Equal);
    let Some(&largest) = faces.iter().max_by(by_area) else {
        return Err(Error::new(ErrorKind::Unprocessable, "no face was found in this image").with_code("no_face"));
    };
    let rivals = faces.iter().filter(|face| face.bbox.area() > largest.bbox.area() * CLEARLY_LARGEST).count() - 1;
    match choice {
        FaceChoice::One if faces.len() > 1 => Err(several(faces.len())),
        FaceChoice::Clear if rivals > 0 => Err(several(faces.len())),
        _ => Ok(vec![largest]),
    }
}

fn several(faces: usize) -> Error {
    Error::new(ErrorKind::Unprocessable, format!("{faces} faces were found, and it is not clear which one is meant"))
        .with_code("several_faces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FaceBox;

    fn face(width: f32) -> Detection {
        let bbox = FaceBox { x1: 0.0, y1: 0.0, x2: width, y2: width };
        Detection { score: 0.9, bbox, landmarks: [[0.0; 2]; 5] }
    }

    #[test]
    fn the_choice_of_faces() {
        use FaceChoice::{All, Clear, Largest, One};
        let code = |faces: &[f32], choice| {
            choose(faces.iter().copied().map(face).collect(), choice).map(|kept| kept.len()).map_err(|e| e.code())
        };
        assert_eq!(code(&[], All), Ok(0));
        for choice in [Clear, One, Largest] {
            assert_eq!(code(&[], choice), Err("no_face"));
            assert_eq!(code(&[100.0], choice), Ok(1));
        }
        assert_eq!(code(&[100.0, 40.0], Clear), Ok(1));
        assert_eq!(code(&[100.0, 90.0], Clear), Err("several_faces"));
        assert_eq!(code(&[100.0, 40.0], One), Err("several_faces"));
        assert_eq!(code(&[100.0, 90.0], Largest), Ok(1));
        assert_eq!(code(&[100.0, 90.0], All), Ok(2));
    }
}
