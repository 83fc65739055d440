//! One photo's faces: two looks, tiles where they are wanted, and one list of what they find.

use std::borrow::Cow;

use super::super::{networks::tensor, tools::PipelineOptions};
use crate::{
    domain::{Detection, Turned},
    error::Result,
    nn::Networks,
    vision::{
        Photo,
        detector_input::{DetectorInput, detector_input},
        looks::{self, SMALL_SIDE_PX},
        nms::nms,
        orientation::turn,
        resize::{fit_longest_side, fitted_size},
        tiles,
    },
};

/// Tiles overlap by one part in so many: a face on the border of one is whole in the next.
const TILE_OVERLAP: u32 = 5;

/// All faces of a photo in its own pixels, best score first, as they are seen once it is turned.
pub fn detect_faces(
    photo: &Photo,
    turned: Turned,
    networks: &Networks,
    options: &PipelineOptions,
) -> Result<Vec<Detection>> {
    let eye = Eye { networks, min_score: options.min_score };
    let large = Scaled::of(photo, options.long_side_px)?;
    let mut finds: Vec<_> = looks::large(eye.look(&large, turned)?, large.scale).collect();
    if large.pixels.longest_side() > SMALL_SIDE_PX {
        let small = large.shrunk(SMALL_SIDE_PX)?;
        finds.extend(looks::small(eye.look(&small, turned)?, small.scale, large.scale));
    }
    if options.tile_above_px > 0 && photo.longest_side() > options.tile_above_px {
        let side = options.long_side_px;
        for tile in tiles::split(photo.width(), photo.height(), side, side / TILE_OVERLAP)? {
            let cut = tile.cut(photo)?;
            let found = eye.look(&Scaled::of(&cut, side)?, turned)?;
            finds.extend(looks::large(tile.place(found).collect(), 1.0));
        }
    }
    Ok(nms(finds, options.nms_iou))
}

/// The faces that the small look alone finds in a photo once it is turned, in its own pixels, best score first.
pub(super) fn small_look(
    photo: &Photo,
    turned: Turned,
    networks: &Networks,
    options: &PipelineOptions,
) -> Result<Vec<Detection>> {
    let eye = Eye { networks, min_score: options.min_score };
    let large = Scaled::of(photo, options.long_side_px)?;
    let small = large.shrunk(SMALL_SIDE_PX)?;
    let found = eye.look(&small, turned)?;
    Ok(nms(looks::large(found, small.scale).collect(), options.nms_iou))
}

/// A photo, or a part of it, as the detector looks at it before it is turned.
struct Scaled<'a> {
    pixels: Cow<'a, Photo>,
    /// Its pixels for each pixel of the photo, at most 1.
    scale: f32,
    /// Width and height of the photo.
    of: (u32, u32),
}

impl<'a> Scaled<'a> {
    /// `photo` with its longest side at most `side` pixels.
    fn of(photo: &'a Photo, side: u32) -> Result<Self> {
        let (.., scale) = fitted_size(photo, side);
        let of = (photo.width(), photo.height());
        Ok(Self { pixels: fit_longest_side(photo, side)?, scale: scale as f32, of })
    }

    /// The same with its longest side at most `side` pixels.
    fn shrunk(&self, side: u32) -> Result<Scaled<'_>> {
        let smaller = Scaled::of(&self.pixels, side)?;
        Ok(Scaled { scale: self.scale * smaller.scale, of: self.of, ..smaller })
    }
}

/// What looks.
struct Eye<'a> {
    networks: &'a Networks,
    min_score: f32,
}

impl Eye<'_> {
    /// The detector's raw finds, in the photo's own pixels, once it is turned.
    fn look(&self, photo: &Scaled<'_>, turned: Turned) -> Result<Vec<Detection>> {
        let upright = turn(&photo.pixels, turned)?;
        let DetectorInput { tensor: pixels, rows, cols } = detector_input(&upright, Vec::new());
        let input = tensor(pixels, (1, rows, cols, Photo::CHANNELS))?;
        let mut found = self.networks.detector.forward(&input)?.detections(self.min_score);
        let (width, height) = photo.of;
        for face in &mut found {
            face.scale(1.0 / photo.scale);
            *face = face.turned_back(turned, width, height);
        }
        Ok(found)
    }
}
