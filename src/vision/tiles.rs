//! Very large photos in overlapping tiles, so that small faces keep their pixels. Pure geometry.
//!
//! Every tile owns the part of the photo up to the middle of its overlaps. A face belongs to the tile that owns its
//! centre, which sees it whole as long as it is no larger than the overlap; larger faces are found in the photo as a
//! whole.

use super::{photo::Photo, resize::Region};
use domain::Detection;
use error::{Error, Result};

/// A part of a photo to look at by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// What the detector sees.
    pub region: Region,
    /// What the tile answers for; the tiles' own parts cover the photo without overlap.
    owned: Region,
}

/// Splits `width × height` pixels into tiles of at most `side` pixels a side that overlap by at least `overlap`.
///
/// Errors: `invalid` unless `overlap` is smaller than `side`.
pub fn split(width: u32, height: u32, side: u32, overlap: u32) -> Result<Vec<Tile>> {
    if overlap >= side {
        return Err(Error::invalid(format!("tiles of {side} pixels cannot overlap by {overlap}")));
    }
    let rows = spans(height, side, overlap);
    let columns = spans(width, side, overlap);
    let tile = |column: &Span, row: &Span| Tile {
        region: Region { left: column.start, top: row.start, width: column.length, height: row.length },
        owned: Region {
            left: column.owned_start,
            top: row.owned_start,
            width: column.owned_end - column.owned_start,
            height: row.owned_end - row.owned_start,
        },
    };
    Ok(rows.iter().flat_map(|row| columns.iter().map(move |column| tile(column, row))).collect())
}

/// One tile along one axis.
struct Span {
    start: u32,
    length: u32,
    owned_start: u32,
    owned_end: u32,
}

fn spans(length: u32, side: u32, overlap: u32) -> Vec<Span> {
    if length <= side {
        return vec![Span { start: 0, length, owned_start: 0, owned_end: length }];
    }
    let count = (length - overlap).div_ceil(side - overlap);
    let start = |index: u32| (u64::from(index) * u64::from(length - side) / u64::from(count - 1)) as u32;
    let border = |index: u32| u32::midpoint(start(index), start(index - 1) + side);
    (0..count)
        .map(|index| Span {
            start: start(index),
            length: side,
            owned_start: if index == 0 { 0 } else { border(index) },
            owned_end: if index + 1 == count { length } else { border(index + 1) },
        })
        .collect()
}

impl Tile {
    /// The tile's pixels.
    ///
    /// Errors: `internal` if the tile is not one of this photo's.
    pub fn cut(&self, photo: &Photo) -> Result<Photo> {
        let Region { left, top, width, height } = self.region;
        if left + width > photo.width() || top + height > photo.height() {
            return Err(Error::internal("the tile reaches beyond the photo"));
        }
        let columns = left as usize * Photo::CHANNELS..(left + width) as usize * Photo::CHANNELS;
        let rows = photo.pixels().chunks_exact(photo.stride()).skip(top as usize).take(height as usize);
        Photo::new(width, height, rows.flat_map(|row| &row[columns.clone()]).copied().collect())
    }

    /// The detections made in this tile that it answers for, in the photo's pixels.
    pub fn place(&self, detections: Vec<Detection>) -> impl Iterator<Item = Detection> {
        let (dx, dy) = (self.region.left as f32, self.region.top as f32);
        let owned = self.owned;
        detections.into_iter().map(move |detection| moved(detection, dx, dy)).filter(move |detection| {
            let x = f32::midpoint(detection.bbox.x1, detection.bbox.x2);
            let y = f32::midpoint(detection.bbox.y1, detection.bbox.y2);
            let within = |value: f32, start: u32, length: u32| value >= start as f32 && value < (start + length) as f32;
            within(x, owned.left, owned.width) && within(y, owned.top, owned.height)
        })
    }
}

fn moved(mut detection: Detection, dx: f32, dy: f32) -> Detection {
    detection.bbox.x1 += dx;
    detection.bbox.x2 += dx;
    detection.bbox.y1 += dy;
    detection.bbox.y2 += dy;
    for [x, y] in &mut detection.landmarks {
        *x += dx;
        *y += dy;
    }
    detection
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden;
    use domain::{FaceBox, Turned};

    fn face(score: f32, x: f32, y: f32, side: f32) -> Detection {
        let bbox = FaceBox { x1: x, y1: y, x2: x + side, y2: y + side };
        Detection { score, bbox, landmarks: [[x, y]; 5], turned: Turned::No }
    }

    #[test]
    fn a_small_photo_is_one_tile() {
        let tiles = split(800, 600, 1280, 100).unwrap();
        assert_eq!(tiles.len(), 1);
        assert_eq!(tiles[0].region, Region { left: 0, top: 0, width: 800, height: 600 });
        assert!(split(800, 600, 100, 100).is_err());
    }

    #[test]
    fn a_tile_is_the_photo_there() {
        let photo = golden::synthetic();
        for tile in split(photo.width(), photo.height(), 150, 30).unwrap() {
            let cut = tile.cut(&photo).unwrap();
            let offset = (tile.region.top as usize + 3) * photo.stride() + (tile.region.left as usize + 2) * 3;
            assert_eq!(cut.pixels()[3 * cut.stride() + 6..][..3], photo.pixels()[offset..offset + 3]);
        }
        let foreign = split(4000, 4000, 150, 30).unwrap();
        assert!(foreign.last().unwrap().cut(&photo).is_err());
    }

    /// A face that two tiles see, one of them only in part, is reported once, whole.
    #[test]
    fn faces_on_a_seam_are_found_once() {
        let tiles = split(1000, 500, 600, 200).unwrap();
        assert_eq!(tiles.len(), 2);
        let (left, right) = (tiles[0], tiles[1]);
        let whole = face(0.9, 520.0, 100.0, 100.0);
        let seen_whole = moved(whole, -(right.region.left as f32), 0.0);
        let cut_off = face(0.95, 520.0, 100.0, 30.0);
        let found: Vec<Detection> = left.place(vec![cut_off]).chain(right.place(vec![seen_whole])).collect();
        assert_eq!(found, [whole]);
    }

    proptest! {
        #[test]
        fn tiles_cover_and_every_face_up_to_the_overlap_is_whole_where_it_is_owned(
            width in 50_u32..5000, height in 50_u32..5000, side in 200_u32..1500, overlap in 1_u32..199,
            at in (0.0_f32..1.0, 0.0_f32..1.0),
        ) {
            let tiles = split(width, height, side, overlap).unwrap();
            let area: u64 = tiles.iter().map(|tile| u64::from(tile.owned.width) * u64::from(tile.owned.height)).sum();
            prop_assert_eq!(area, u64::from(width) * u64::from(height));
            let side_px = (overlap.min(width).min(height) - 1) as f32;
            let (x, y) = (at.0 * (width as f32 - side_px), at.1 * (height as f32 - side_px));
            let truth = face(0.9, x, y, side_px);
            let owners: Vec<Region> = tiles
                .iter()
                .filter(|tile| {
                    let local = moved(truth, -(tile.region.left as f32), -(tile.region.top as f32));
                    tile.place(vec![local]).count() == 1
                })
                .map(|tile| tile.region)
                .collect();
            prop_assert_eq!(owners.len(), 1);
            let seen = owners[0];
            prop_assert!(x + 1.0 >= seen.left as f32 && y + 1.0 >= seen.top as f32);
            prop_assert!(x + side_px <= (seen.left + seen.width) as f32 + 1.0);
            prop_assert!(y + side_px <= (seen.top + seen.height) as f32 + 1.0);
        }
    }
}
