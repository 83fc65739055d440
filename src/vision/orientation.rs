//! The eight ways a camera can be held.

pub use image::metadata::Orientation;

use super::photo::Photo;
use error::Result;

/// Rows and columns of the blocks that a transposition works in: a block of source and target fits the first cache.
const BLOCK: usize = 32;

type Pixel = [u8; Photo::CHANNELS];

/// The upright photo of stored `pixels` (`width × height`, RGB) whose EXIF orientation is `orientation`. Mirroring
/// happens in place; turning by a quarter needs a second buffer.
pub fn upright(width: u32, height: u32, mut pixels: Vec<u8>, orientation: Orientation) -> Result<Photo> {
    let stored_width = width as usize;
    let (as_pixels, _) = pixels.as_chunks_mut();
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => as_pixels.chunks_exact_mut(stored_width).for_each(<[Pixel]>::reverse),
        Orientation::Rotate180 => as_pixels.reverse(),
        Orientation::FlipVertical => flip_rows(as_pixels, stored_width),
        Orientation::Rotate90FlipH => return transposed(width, height, as_pixels, [false, false]),
        Orientation::Rotate90 => return transposed(width, height, as_pixels, [false, true]),
        Orientation::Rotate270FlipH => return transposed(width, height, as_pixels, [true, true]),
        Orientation::Rotate270 => return transposed(width, height, as_pixels, [true, false]),
    }
    Photo::new(width, height, pixels)
}

/// Whether the upright photo is as wide as the stored one is high.
pub fn is_transposed(orientation: Orientation) -> bool {
    orientation.to_exif() >= Orientation::Rotate90FlipH.to_exif()
}

fn flip_rows(pixels: &mut [Pixel], width: usize) {
    let height = pixels.len() / width;
    let (upper, lower) = pixels.split_at_mut(height / 2 * width);
    for (above, below) in upper.chunks_exact_mut(width).zip(lower.rchunks_exact_mut(width)) {
        above.swap_with_slice(below);
    }
}

/// Rows become columns; `flipped` says whether the source's columns and rows are counted from their ends.
fn transposed(width: u32, height: u32, source: &[Pixel], flipped: [bool; 2]) -> Result<Photo> {
    let (columns, rows) = (width as usize, height as usize);
    let mut target = vec![[0; Photo::CHANNELS]; source.len()];
    for block_y in (0..columns).step_by(BLOCK) {
        for block_x in (0..rows).step_by(BLOCK) {
            let end_x = (block_x + BLOCK).min(rows);
            for y in block_y..(block_y + BLOCK).min(columns) {
                let column = if flipped[0] { columns - 1 - y } else { y };
                for (pixel, x) in target[y * rows + block_x..y * rows + end_x].iter_mut().zip(block_x..) {
                    let row = if flipped[1] { rows - 1 - x } else { x };
                    *pixel = source[row * columns + column];
                }
            }
        }
    }
    Photo::new(height, width, target.into_flattened())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A letter F, three wide and four high, as a camera stores it for each orientation: by the table of EXIF 2.3.
    const STORED: [(u8, &[&str]); 8] = [
        (1, &["###", "#..", "##.", "#.."]),
        (2, &["###", "..#", ".##", "..#"]),
        (3, &["..#", ".##", "..#", "###"]),
        (4, &["#..", "##.", "#..", "###"]),
        (5, &["####", "#.#.", "#..."]),
        (6, &["#...", "#.#.", "####"]),
        (7, &["...#", ".#.#", "####"]),
        (8, &["####", ".#.#", "...#"]),
    ];

    fn picture(rows: &[&str]) -> (u32, u32, Vec<u8>) {
        let pixels = rows.iter().flat_map(|row| row.bytes()).flat_map(|b| [b, b / 2, b / 3]).collect();
        (rows[0].len() as u32, rows.len() as u32, pixels)
    }

    #[test]
    fn every_way_of_holding_the_camera_gives_the_same_photo() {
        let (width, height, pixels) = picture(STORED[0].1);
        let expected = Photo::new(width, height, pixels).unwrap();
        for (exif, rows) in STORED {
            let (width, height, pixels) = picture(rows);
            let orientation = Orientation::from_exif(exif).unwrap();
            assert_eq!(is_transposed(orientation), exif >= 5);
            assert!(upright(width, height, pixels, orientation).unwrap() == expected, "orientation {exif}");
        }
    }

    proptest! {
        /// Each of the eight undone by its inverse gives the photo back, also across the blocks' edges.
        #[test]
        fn the_eight_are_a_group(width in 1_u32..80, height in 1_u32..80, exif in 1_u8..=8) {
            let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 253) as u8).collect();
            let there = upright(width, height, pixels.clone(), Orientation::from_exif(exif).unwrap()).unwrap();
            let inverse = [1, 2, 3, 4, 5, 8, 7, 6][exif as usize - 1];
            let (w, h) = (there.width(), there.height());
            let back = upright(w, h, there.into_pixels(), Orientation::from_exif(inverse).unwrap()).unwrap();
            prop_assert_eq!((back.width(), back.height()), (width, height));
            prop_assert!(back.pixels() == pixels);
        }
    }
}
