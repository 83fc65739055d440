//! The eight ways a camera can be held.

use std::borrow::Cow;

pub use image::metadata::Orientation;

use super::photo::Photo;
use domain::Turned;
use error::Result;

/// Rows and columns of the blocks that a transposition works in: a block of source and target fits the first cache.
const BLOCK: usize = 32;

type Pixel = [u8; Photo::CHANNELS];

/// Photos of more pixels are turned by a quarter in place, which takes half the memory and several times as long: with a
/// second buffer they would not fit into a key's share of the byte budget.
const IN_PLACE_ABOVE_PIXELS: u64 = 40_000_000;
/// Columns that are moved at once in place: one line of the cache each.
const COLUMNS: usize = 21;

/// The upright photo of stored `pixels` (`width × height`, RGB) whose EXIF orientation is `orientation`. Holds no more
/// bytes than [`turning_bytes`] says.
pub fn upright(width: u32, height: u32, mut pixels: Vec<u8>, orientation: Orientation) -> Result<Photo> {
    let stored_width = width as usize;
    let (as_pixels, _) = pixels.as_chunks_mut();
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => as_pixels.chunks_exact_mut(stored_width).for_each(<[Pixel]>::reverse),
        Orientation::Rotate180 => as_pixels.reverse(),
        Orientation::FlipVertical => flip_rows(as_pixels, stored_width),
        Orientation::Rotate90FlipH => return turned(width, height, pixels, [false, false]),
        Orientation::Rotate90 => return turned(width, height, pixels, [false, true]),
        Orientation::Rotate270FlipH => return turned(width, height, pixels, [true, true]),
        Orientation::Rotate270 => return turned(width, height, pixels, [true, false]),
    }
    Photo::new(width, height, pixels)
}

/// `photo` turned clockwise; the very same photo if it stands upright. Needs a second buffer.
pub fn turn(photo: &Photo, turned: Turned) -> Result<Cow<'_, Photo>> {
    let orientation = match turned {
        Turned::No => return Ok(Cow::Borrowed(photo)),
        Turned::By90 => Orientation::Rotate90,
        Turned::By180 => Orientation::Rotate180,
        Turned::By270 => Orientation::Rotate270,
    };
    upright(photo.width(), photo.height(), photo.pixels().to_vec(), orientation).map(Cow::Owned)
}

/// The most bytes held while a photo is turned upright, itself included.
pub fn turning_bytes(width: u32, height: u32, orientation: Orientation) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    let (photo, pixel) = (pixels * Photo::CHANNELS as u64, Photo::CHANNELS as u64);
    if !is_transposed(orientation) {
        photo
    } else if pixels > IN_PLACE_ABOVE_PIXELS {
        photo + pixel * u64::from(height.max(width)) * (COLUMNS as u64 + 4)
    } else {
        2 * photo
    }
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
fn turned(width: u32, height: u32, mut pixels: Vec<u8>, flipped: [bool; 2]) -> Result<Photo> {
    let (as_pixels, _) = pixels.as_chunks_mut();
    if u64::from(width) * u64::from(height) <= IN_PLACE_ABOVE_PIXELS {
        return transposed(width, height, as_pixels, flipped);
    }
    turn_in_place(width, height, as_pixels, flipped);
    Photo::new(height, width, pixels)
}

/// The same as [`transposed`] without a second buffer.
fn turn_in_place(width: u32, height: u32, pixels: &mut [Pixel], flipped: [bool; 2]) {
    let row_length = height as usize;
    transpose_in_place(pixels, row_length, width as usize);
    match flipped {
        [false, false] => {}
        [false, true] => pixels.chunks_exact_mut(row_length).for_each(<[Pixel]>::reverse),
        [true, false] => flip_rows(pixels, row_length),
        [true, true] => pixels.reverse(),
    }
}

/// Transposes `rows × columns` pixels with room for a few columns: Catanzaro, Keller and Garland, "A decomposition for
/// in-place matrix transposition" (2014), algorithm 1. Each pixel moves in its column, in its row, and in its column
/// again.
fn transpose_in_place(pixels: &mut [Pixel], rows: usize, columns: usize) {
    let common = greatest_common_divisor(rows, columns);
    let (rows_apart, columns_apart) = (rows / common, columns / common);
    if common > 1 {
        move_in_columns(pixels, [rows, columns], |row| row, |column| column / columns_apart);
    }
    let mut moved = vec![[0; Photo::CHANNELS]; columns];
    let steps: Vec<(u32, u32)> =
        (0..columns).map(|column| ((column / columns_apart) as u32, (column * rows % columns) as u32)).collect();
    for (row, pixels) in pixels.chunks_exact_mut(columns).enumerate() {
        for (pixel, (group, step)) in pixels.iter().zip(&steps) {
            let row = row as u32 + group;
            let row = if row < rows as u32 { row } else { row - rows as u32 };
            moved[((row + step) % columns as u32) as usize] = *pixel;
        }
        pixels.copy_from_slice(&moved);
    }
    move_in_columns(pixels, [rows, columns], |row| (row * columns - row / rows_apart) % rows, |column| column % rows);
}

/// Puts into each row of each column what stands in the row that the sum of both offsets, less than `rows` each, says.
fn move_in_columns(
    pixels: &mut [Pixel],
    [rows, columns]: [usize; 2],
    of_row: impl Fn(usize) -> usize,
    of_column: impl Fn(usize) -> usize,
) {
    let mut moved = vec![[0; Photo::CHANNELS]; rows * COLUMNS.min(columns)];
    for first in (0..columns).step_by(COLUMNS) {
        let width = COLUMNS.min(columns - first);
        let offsets: [usize; COLUMNS] = std::array::from_fn(|place| of_column((first + place).min(columns - 1)));
        for (row, moved) in moved.chunks_exact_mut(width).take(rows).enumerate() {
            let offset = of_row(row);
            for (place, pixel) in moved.iter_mut().enumerate() {
                let source = offset + offsets[place];
                let source = if source < rows { source } else { source - rows };
                *pixel = pixels[source * columns + first + place];
            }
        }
        for (row, moved) in moved.chunks_exact(width).take(rows).enumerate() {
            pixels[row * columns + first..][..width].copy_from_slice(moved);
        }
    }
}

fn greatest_common_divisor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

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
    use crate::decode::fuzzing::peak_bytes;
    use domain::{Detection, FaceBox};

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

    /// A bright pixel of the turned photo is where [`Detection::turned_back`](domain::Detection::turned_back) says.
    #[test]
    fn turning_moves_pixels_as_it_moves_points() {
        let (width, height, bright) = (5_u32, 3_u32, (3_u32, 1_u32));
        let mut pixels = vec![0; (width * height * 3) as usize];
        pixels[((bright.1 * width + bright.0) * 3) as usize] = 255;
        let photo = Photo::new(width, height, pixels).unwrap();
        for turned in Turned::TURNS {
            let seen = turn(&photo, turned).unwrap();
            assert_eq!(seen.width() == height, turned.is_on_side());
            let place = seen.pixels().iter().position(|&level| level == 255).unwrap() / 3;
            let (column, row) = ((place % seen.width() as usize) as f32, (place / seen.width() as usize) as f32);
            let bbox = FaceBox { x1: column, y1: row, x2: column + 1.0, y2: row + 1.0 };
            let point = Detection { score: 1.0, bbox, landmarks: [[column, row]; 5], turned: Turned::No };
            let back = point.turned_back(turned, width, height);
            let there = FaceBox { x1: 3.0, y1: 1.0, x2: 4.0, y2: 2.0 };
            assert_eq!((back.landmarks[0], back.bbox), ([3.0, 1.0], there), "{turned:?}");
        }
        assert!(matches!(turn(&photo, Turned::No).unwrap(), Cow::Borrowed(_)));
    }

    /// As phones of 50 megapixels store it.
    #[test]
    fn large_photos_are_turned_without_a_second_buffer() {
        let photo = 8192 * 6144 * 3;
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            assert!(turning_bytes(8192, 6144, orientation) < photo + (1 << 20), "orientation {exif}");
        }
        assert_eq!(turning_bytes(4032, 3024, Orientation::Rotate90), 2 * 4032 * 3024 * 3);
    }

    proptest! {
        #[test]
        fn in_place_is_as_with_a_second_buffer(
            width in 1_u32..90, height in 1_u32..90, columns: bool, rows: bool,
        ) {
            let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
            let (as_pixels, _) = pixels.as_chunks();
            let expected = transposed(width, height, as_pixels, [columns, rows]).unwrap();
            let mut turned = as_pixels.to_vec();
            let ((), more_bytes) = peak_bytes(|| turn_in_place(width, height, &mut turned, [columns, rows]));
            prop_assert!(turned.as_flattened() == expected.pixels());
            prop_assert!(more_bytes <= width.max(height) as usize * Photo::CHANNELS * (COLUMNS + 4));
        }

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
