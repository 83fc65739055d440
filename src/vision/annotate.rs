//! A copy of the photo with boxes and names drawn into it.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

use super::{jpeg, photo::Photo};
use domain::FaceBox;
use error::{Error, Result};

/// `DejaVu` Sans without hinting and symbols; see `font/README.md`.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
/// Letters lower than this cannot be read.
const MIN_TEXT_PX: f32 = 12.0;

type Color = [u8; Photo::CHANNELS];
const INK: Color = [255, 255, 255];
const OUTLINE: Color = [255, 255, 255];

/// What is known of a face, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationKind {
    /// Green.
    Named,
    /// Orange.
    Unknown,
    /// Purple.
    NotLive,
}

impl AnnotationKind {
    /// Dark enough for white letters.
    fn color(self) -> Color {
        match self {
            Self::Named => [22, 130, 60],
            Self::Unknown => [200, 80, 10],
            Self::NotLive => [130, 40, 160],
        }
    }
}

/// One box to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// Where, in pixels of the photo; parts outside are left out.
    pub bbox: FaceBox,
    /// What to write beside it, in any script; may be empty.
    pub label: String,
    /// Its state.
    pub kind: AnnotationKind,
}

/// Draws `annotations` into `photo` and encodes it as JPEG. Lines and letters grow with the photo. Labels stand
/// on plates of their own, above all boxes, so that they can be read on any background.
///
/// Errors: `internal` if the encoder fails.
pub fn annotate(photo: Photo, annotations: &[Annotation]) -> Result<Vec<u8>> {
    let font = FontRef::try_from_slice(FONT).map_err(|cause| Error::internal("unreadable font").with_source(cause))?;
    let (width, height, longest_side) = (photo.width(), photo.height(), photo.longest_side() as f32);
    let mut canvas = Canvas { width, height, pixels: photo.into_pixels() };
    let stroke = (longest_side / 400.0).round().max(2.0);
    for annotation in annotations {
        canvas.frame(&annotation.bbox, stroke, annotation.kind.color());
    }
    let largest_text = (longest_side / 50.0).max(MIN_TEXT_PX);
    for annotation in annotations {
        let text_px = (annotation.bbox.width() * 0.3).clamp(MIN_TEXT_PX, largest_text);
        canvas.label(&Line::set(&font, &annotation.label, text_px), annotation, stroke);
    }
    jpeg::encode(&canvas.pixels, canvas.width, canvas.height)
}

/// A line of text, laid out.
struct Line<'a> {
    font: &'a FontRef<'a>,
    /// Placed from (0, ascent) on.
    glyphs: Vec<Glyph>,
    width: f32,
    height: f32,
}

impl<'a> Line<'a> {
    fn set(font: &'a FontRef<'a>, text: &str, height_px: f32) -> Self {
        let scaled = font.as_scaled(PxScale::from(height_px));
        let mut x = 0.0;
        let mut glyphs = Vec::new();
        for letter in text.chars().filter(|letter| !letter.is_control()) {
            let glyph = scaled.scaled_glyph(letter);
            let advance = scaled.h_advance(glyph.id);
            glyphs.push(Glyph { position: point(x, scaled.ascent()), ..glyph });
            x += advance;
        }
        Self { font, glyphs, width: x, height: scaled.height() }
    }
}

struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A frame whose inner edge is the box: the colour, with a white line on both sides for dark backgrounds.
    fn frame(&mut self, bbox: &FaceBox, stroke: f32, color: Color) {
        for (outset, thickness, color) in [(stroke + 1.0, stroke + 2.0, OUTLINE), (stroke, stroke, color)] {
            let (x1, y1, x2, y2) = (bbox.x1 - outset, bbox.y1 - outset, bbox.x2 + outset, bbox.y2 + outset);
            self.fill([x1, y1], [x2, y1 + thickness], color);
            self.fill([x1, y2 - thickness], [x2, y2], color);
            self.fill([x1, y1], [x1 + thickness, y2], color);
            self.fill([x2 - thickness, y1], [x2, y2], color);
        }
    }

    /// A plate with the text above the box, or below it if there is no room; moved to stay inside the photo.
    fn label(&mut self, line: &Line<'_>, annotation: &Annotation, stroke: f32) {
        if line.glyphs.is_empty() {
            return;
        }
        let margin = (line.height * 0.15).ceil();
        let (width, height) = (line.width + 2.0 * margin, line.height + 2.0 * margin);
        let bbox = &annotation.bbox;
        let above = bbox.y1 - stroke - height;
        let top = if above >= 0.0 { above } else { bbox.y2 + stroke };
        let top = top.min(self.height as f32 - height).max(0.0).round();
        let left = (bbox.x1 - stroke).min(self.width as f32 - width).max(0.0).round();
        self.fill([left, top], [left + width, top + height], annotation.kind.color());
        for glyph in &line.glyphs {
            let mut glyph = glyph.clone();
            glyph.position += point(left + margin, top + margin);
            if let Some(outline) = line.font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, share| self.blend(corner.x as i32 + x as i32, corner.y as i32 + y as i32, share));
            }
        }
    }

    /// Fills the whole pixels from `from` up to `to`; what lies outside the photo is left out.
    fn fill(&mut self, from: [f32; 2], to: [f32; 2], color: Color) {
        let columns = clipped(from[0], to[0], self.width);
        let stride = self.width as usize;
        let (pixels, _) = self.pixels.as_chunks_mut();
        for row in clipped(from[1], to[1], self.height) {
            pixels[row * stride..][columns.clone()].fill(color);
        }
    }

    /// Covers a pixel with ink, as far as `share` (0..=1) says.
    fn blend(&mut self, x: i32, y: i32, share: f32) {
        if x < 0 || y < 0 || x >= self.width as i32 || y >= self.height as i32 {
            return;
        }
        let offset = (y as usize * self.width as usize + x as usize) * Photo::CHANNELS;
        for (level, ink) in self.pixels[offset..offset + Photo::CHANNELS].iter_mut().zip(INK) {
            *level = (f32::from(*level) + (f32::from(ink) - f32::from(*level)) * share).round() as u8;
        }
    }
}

/// The whole pixels between two edges, inside 0..`length`.
fn clipped(from: f32, to: f32, length: u32) -> std::ops::Range<usize> {
    let end = (to.round() as usize).min(length as usize);
    (from.round() as usize).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode, read_header};

    fn grey_photo() -> Photo {
        Photo::new(400, 300, vec![128; 400 * 300 * 3]).unwrap()
    }

    fn drawn(annotations: &[Annotation]) -> Photo {
        let jpeg = annotate(grey_photo(), annotations).unwrap();
        let limits = DecodeLimits::default();
        decode(&jpeg, &read_header(&jpeg, &limits).unwrap(), &limits).unwrap()
    }

    fn annotation(x1: f32, y1: f32, label: &str, kind: AnnotationKind) -> Annotation {
        Annotation { bbox: FaceBox { x1, y1, x2: x1 + 60.0, y2: y1 + 80.0 }, label: label.to_owned(), kind }
    }

    fn pixel(photo: &Photo, x: usize, y: usize) -> [u8; 3] {
        let offset = y * photo.stride() + x * 3;
        [0, 1, 2].map(|channel| photo.pixels()[offset + channel])
    }

    fn near(a: [u8; 3], b: [u8; 3]) -> bool {
        a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 60)
    }

    #[test]
    fn the_frame_has_its_colour_and_the_face_stays_untouched() {
        for kind in [AnnotationKind::Named, AnnotationKind::Unknown, AnnotationKind::NotLive] {
            let photo = drawn(&[annotation(100.0, 100.0, "", kind)]);
            assert!(near(pixel(&photo, 130, 98), kind.color()), "{kind:?}: {:?}", pixel(&photo, 130, 98));
            assert!(near(pixel(&photo, 130, 140), [128; 3]));
            assert!(near(pixel(&photo, 300, 250), [128; 3]));
        }
    }

    /// Pixels nearly as bright as the ink in the part of the photo above the box.
    fn inked(label: &str) -> usize {
        let photo = drawn(&[annotation(100.0, 100.0, label, AnnotationKind::Named)]);
        let above = (70..94).flat_map(|y| (90..400).map(move |x| (x, y)));
        above.filter(|&(x, y)| pixel(&photo, x, y).iter().all(|level| *level > 170)).count()
    }

    #[test]
    fn names_of_many_scripts_are_written() {
        assert_eq!(inked(""), 0);
        for label in ["Zoë", "Ольга", "Νίκος", "გიორგი", "Արամ", "محمد", "שלום"] {
            assert!(inked(label) > 5, "{label}");
        }
        // No glyph of its own: a box stands for each letter, and control characters for nothing.
        assert!(inked("陳陳陳陳陳陳") > 0);
        assert_eq!(inked("\n\t\u{7}"), 0);
    }

    #[test]
    fn the_font_has_the_letters() {
        let font = FontRef::try_from_slice(FONT).unwrap();
        for letter in "AzßŁőğØÞИжЇΨάעشქՖ€–’".chars() {
            assert_ne!(font.glyph_id(letter).0, 0, "{letter}");
        }
    }

    #[test]
    fn boxes_and_labels_over_the_edges_are_clipped() {
        let long = "a very long name that is wider than the whole photo, ".repeat(4);
        for (x, y) in [(-30.0, -40.0), (390.0, 290.0), (-5000.0, 9000.0), (f32::NAN, f32::INFINITY)] {
            let photo = drawn(&[annotation(x, y, &long, AnnotationKind::Unknown)]);
            assert_eq!((photo.width(), photo.height()), (400, 300));
        }
        let tiny = Photo::new(1, 1, vec![9; 3]).unwrap();
        assert!(annotate(tiny, &[annotation(0.0, 0.0, "x", AnnotationKind::Named)]).is_ok());
    }
}
