//! Rectangles, frames and letters on rows of RGB pixels.

use super::text::Line;
use crate::photo::Photo;

pub(super) type Color = [u8; Photo::CHANNELS];

pub(super) const WHITE: Color = [255; 3];
pub(super) const BLACK: Color = [0; 3];

/// An area in pixels; right and bottom lie just outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Area {
    /// The area with all edges moved outwards.
    pub(super) fn grown(self, by: f32) -> Self {
        Self { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by }
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }
}

/// How the line of a frame runs, so that frames are told apart without colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    Solid,
    Dashed,
    Dotted,
}

impl Pattern {
    /// The length of a dash and of what follows until the next, in strokes.
    const fn strokes(self) -> Option<[f32; 2]> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some([4.0, 3.0]),
            Self::Dotted => Some([1.0, 1.5]),
        }
    }
}

/// Pixels to draw on: rows from the top without padding.
pub(super) struct Canvas<'p> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixels: &'p mut [u8],
}

impl Canvas<'_> {
    /// A frame whose inner edge is the area: the colour over white, which also shows between dashes and on both sides.
    pub(super) fn frame(&mut self, area: &Area, stroke: f32, color: Color, pattern: Pattern) {
        self.ring(&area.grown(stroke + 1.0), stroke + 2.0, WHITE, None);
        self.ring(&area.grown(stroke), stroke, color, pattern.strokes());
    }

    fn ring(&mut self, outer: &Area, thickness: f32, color: Color, dashes: Option<[f32; 2]>) {
        let Area { left, top, right, bottom } = *outer;
        for (from, to) in dashed(left, right, thickness, dashes) {
            self.fill(&Area { left: from, top, right: to, bottom: top + thickness }, color);
            self.fill(&Area { left: from, top: bottom - thickness, right: to, bottom }, color);
        }
        for (from, to) in dashed(top, bottom, thickness, dashes) {
            self.fill(&Area { left, top: from, right: left + thickness, bottom: to }, color);
            self.fill(&Area { left: right - thickness, top: from, right, bottom: to }, color);
        }
    }

    /// Fills the whole pixels of the area; what lies outside the picture is left out.
    pub(super) fn fill(&mut self, area: &Area, color: Color) {
        let columns = clipped(area.left, area.right, self.width);
        let stride = self.width as usize;
        let (pixels, _) = self.pixels.as_chunks_mut();
        for row in clipped(area.top, area.bottom, self.height) {
            pixels[row * stride..][columns.clone()].fill(color);
        }
    }

    /// Writes a line with its upper left corner there.
    pub(super) fn write(&mut self, line: &Line<'_>, corner: [f32; 2], ink: Color) {
        line.draw(corner, |x, y, share| self.blend(x, y, share, ink));
    }

    /// Covers a pixel with ink, as far as `share` (0..=1) says.
    fn blend(&mut self, x: i32, y: i32, share: f32, ink: Color) {
        if x < 0 || y < 0 || x >= self.width as i32 || y >= self.height as i32 {
            return;
        }
        let offset = (y as usize * self.width as usize + x as usize) * Photo::CHANNELS;
        for (level, ink) in self.pixels[offset..offset + Photo::CHANNELS].iter_mut().zip(ink) {
            *level = (f32::from(*level) + (f32::from(ink) - f32::from(*level)) * share).round() as u8;
        }
    }
}

/// The dashes of a line between two ends; one without a pattern. They begin and end with a dash, so that corners show.
fn dashed(from: f32, to: f32, thickness: f32, dashes: Option<[f32; 2]>) -> Vec<(f32, f32)> {
    let length = to - from;
    let Some([dash, gap]) = dashes.filter(|_| length.is_finite()).map(|strokes| strokes.map(|n| n * thickness)) else {
        return vec![(from, to)];
    };
    let gaps = ((length - dash) / (dash + gap)).floor().max(0.0);
    let period = if gaps > 0.0 { (length - dash) / gaps } else { length };
    (0..=gaps as usize).map(|place| from + place as f32 * period).map(|at| (at, (at + dash).min(to))).collect()
}

/// The whole pixels between two edges, inside 0..`length`.
fn clipped(from: f32, to: f32, length: u32) -> std::ops::Range<usize> {
    let end = (to.round() as usize).min(length as usize);
    (from.round() as usize).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_line_begins_and_ends_with_a_dash() {
        for length in [3.0, 8.0, 40.0, 333.0] {
            let dashes = dashed(10.0, 10.0 + length, 2.0, Pattern::Dashed.strokes());
            assert!((dashes.first().unwrap().0 - 10.0).abs() < 0.01, "{length}: {dashes:?}");
            assert!((dashes.last().unwrap().1 - 10.0 - length).abs() < 0.01, "{length}: {dashes:?}");
            assert!(dashes.windows(2).all(|two| two[0].1 < two[1].0), "{length}: {dashes:?}");
        }
        assert_eq!(dashed(f32::NEG_INFINITY, f32::INFINITY, 2.0, Pattern::Dotted.strokes()).len(), 1);
    }
}
