//! Lines of text in any script: which font has the letters, and where each of them stands.

use std::fmt;

use ab_glyph::{Font, FontArc, Glyph, GlyphId, PxScale, ScaleFont, point};
use harfrust::{Buffer, Direction, ShapeOptions, ShaperFont};
use unicode_bidi::BidiInfo;

use error::{Error, Result};

/// `DejaVu` Sans without hinting and symbols; see `font/README.md`.
const BUILT_IN: &[u8] = include_bytes!("../font/DejaVuSans.ttf");

/// Shows that a text was cut.
const CUT: char = '…';

/// The fonts that names are written in: the one that was chosen, then the one that is built in. Cheap to clone.
#[derive(Clone)]
pub struct Fonts {
    /// In the order in which they are asked for letters.
    faces: Vec<Face>,
}

/// One font, as what draws its letters and as what places them see it.
#[derive(Clone)]
struct Face {
    outlines: FontArc,
    letters: harfrust::Font,
}

impl Fonts {
    /// `chosen` (TrueType or OpenType, or the first font of a collection of them) before the built-in one. It is held as
    /// long as the process lives.
    ///
    /// Errors: `invalid` if it is no such font.
    pub fn new(chosen: Option<Vec<u8>>) -> Result<Self> {
        let chosen = chosen.map(|bytes| &*bytes.leak());
        let faces = chosen.into_iter().chain([BUILT_IN]).map(|bytes| {
            let outlines = FontArc::try_from_slice(bytes).ok()?;
            Some(Face { outlines, letters: harfrust::Font::new(bytes, 0)? })
        });
        let unreadable = || Error::invalid("this is no TrueType or OpenType font");
        Ok(Self { faces: faces.collect::<Option<_>>().ok_or_else(unreadable)? })
    }

    /// A line of the first of `texts` whose letters one font has, not wider than `width_px`: what is longer is cut, which
    /// shows. `None` where no font has the letters of any, and where nothing fits.
    pub(super) fn line<'f>(&'f self, texts: &[String], height_px: f32, width_px: f32) -> Option<Line<'f>> {
        let with_font = |text: &'_ String| Some((self.faces.iter().find(|face| face.has(text))?, text.clone()));
        let (face, text) = texts.iter().find_map(with_font)?;
        let whole = face.set(&text, height_px)?;
        if whole.width <= width_px {
            return Some(whole);
        }
        // About as many letters as fit, and fewer until they do.
        let letters = (text.chars().count() as f32 * width_px / whole.width) as usize;
        (1..=letters).rev().find_map(|letters| {
            let cut: String = text.chars().take(letters).chain(Some(CUT).filter(|_| face.has("…"))).collect();
            face.set(&cut, height_px).filter(|line| line.width <= width_px)
        })
    }
}

/// Without the fonts' bytes.
impl fmt::Debug for Fonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fonts({})", self.faces.len())
    }
}

impl Face {
    /// Whether all letters of the text are there, and at least one is to be seen.
    fn has(&self, text: &str) -> bool {
        let mut seen = text.chars().filter(|letter| !is_unseen(*letter)).peekable();
        seen.peek().is_some() && seen.all(|letter| self.outlines.glyph_id(letter).0 != 0)
    }

    /// A line of the text: letters joined, combined and in the order of Unicode's algorithm for both directions (UAX #9).
    /// `None` where the font does not say how.
    fn set(&self, text: &str, height_px: f32) -> Option<Line<'_>> {
        let scaled = self.outlines.as_scaled(PxScale::from(height_px));
        let px_a_unit = scaled.h_scale_factor();
        let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
        let order = BidiInfo::new(&text, None);
        let (mut x, mut glyphs) = (0.0, Vec::new());
        for paragraph in &order.paragraphs {
            let (levels, runs) = order.visual_runs(paragraph, paragraph.range.clone());
            for run in runs {
                let mut letters = Buffer::new();
                letters.push_str(&text[run.clone()]);
                letters.guess_segment_properties();
                let is_leftward = levels[run.start].is_rtl();
                letters.set_direction(if is_leftward { Direction::RightToLeft } else { Direction::LeftToRight });
                harfrust::shape(&ShaperFont::new(&self.letters), &mut letters, ShapeOptions::new()).ok()?;
                for (glyph, place) in letters.glyph_infos().iter().zip(letters.glyph_positions()) {
                    let offset = [place.x_offset, place.y_offset].map(|units| units as f32 * px_a_unit);
                    let position = point(x + offset[0], scaled.ascent() - offset[1]);
                    glyphs.push(Glyph { id: GlyphId(glyph.glyph_id as u16), scale: scaled.scale(), position });
                    x += place.x_advance as f32 * px_a_unit;
                }
            }
        }
        Some(Line { font: &self.outlines, glyphs, width: x, height: scaled.height() })
    }
}

/// Letters that are not drawn, whether a font has them or not: they say how others are, or nothing.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || letter.is_whitespace()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// A line of text, laid out.
pub(super) struct Line<'f> {
    font: &'f FontArc,
    /// Placed from (0, ascent) on.
    glyphs: Vec<Glyph>,
    /// In pixels.
    pub(super) width: f32,
    /// In pixels, from the top of the tallest letter to the bottom of the lowest.
    pub(super) height: f32,
}

impl Line<'_> {
    /// Calls `ink` with each pixel that the text at `corner` covers, and how far (0..=1).
    pub(super) fn draw(&self, corner: [f32; 2], mut ink: impl FnMut(i32, i32, f32)) {
        for glyph in &self.glyphs {
            let mut glyph = glyph.clone();
            glyph.position += point(corner[0], corner[1]);
            if let Some(outline) = self.font.outline_glyph(glyph) {
                let corner = outline.px_bounds().min;
                outline.draw(|x, y, share| ink(corner.x as i32 + x as i32, corner.y as i32 + y as i32, share));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'f>(fonts: &'f Fonts, text: &str) -> Option<Line<'f>> {
        fonts.line(&[text.to_owned()], 20.0, 1e6)
    }

    fn ids(line: &Line<'_>) -> Vec<u16> {
        line.glyphs.iter().map(|glyph| glyph.id.0).collect()
    }

    #[test]
    fn letters_of_many_scripts_are_built_in() {
        let fonts = Fonts::new(None).unwrap();
        for text in ["Zoë", "Zoe\u{308}", "Ольга", "Νίκος", "გიორგი", "Արամ", "محمد", "שלום", "AzßŁőğØÞИжЇΨάעשքՖ€–’"]
        {
            assert!(line(&fonts, text).is_some_and(|line| line.width > 10.0), "{text}");
        }
        for text in ["陳", "Anna 陳", "हिन्दी", "", " ", "\n\t\u{7}", "\u{200d}"] {
            assert!(line(&fonts, text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn arabic_is_joined_and_runs_from_right_to_left() {
        let fonts = Fonts::new(None).unwrap();
        let (name, beh) = (line(&fonts, "ببب").unwrap(), line(&fonts, "ب").unwrap());
        assert_eq!(name.glyphs.len(), 3);
        assert!(ids(&name).iter().all(|id| *id != ids(&beh)[0]), "the three forms are not the one that stands alone");
        let (one, other) = (line(&fonts, "שלום").unwrap(), line(&fonts, "ש").unwrap());
        assert_eq!(ids(&one).last(), ids(&other).first(), "the first letter stands on the right");
    }

    #[test]
    fn numbers_and_other_scripts_inside_of_a_name_keep_their_direction() {
        let fonts = Fonts::new(None).unwrap();
        let of = |text: &str| ids(&line(&fonts, text).unwrap());
        // The number stands left of what it comes behind, and is read from the left.
        assert_eq!(of("שלום 16"), [of("16 "), of("שלום")].concat());
        assert_eq!(of("שלום Zoë"), [of("Zoë "), of("שלום")].concat());
        assert_eq!(of("Zoë שלום"), [of("Zoë "), of("שלום")].concat());
        assert_eq!(of("محمد 82")[..2], of("82")[..]);
    }

    #[test]
    fn the_first_text_is_taken_that_can_be_written() {
        let fonts = Fonts::new(None).unwrap();
        let texts = ["陳小明".to_owned(), "xiaoming".to_owned()];
        assert_eq!(ids(&fonts.line(&texts, 20.0, 1e6).unwrap()), ids(&line(&fonts, "xiaoming").unwrap()));
    }

    #[test]
    fn long_texts_are_cut() {
        let fonts = Fonts::new(None).unwrap();
        let long = ["a very long name ".repeat(12)];
        for width in [30.0, 100.0, 500.0] {
            let cut = fonts.line(&long, 20.0, width).unwrap();
            assert!(cut.width <= width && cut.width > width - 25.0, "{} of {width}", cut.width);
        }
        assert!(fonts.line(&long, 20.0, 3.0).is_none());
    }

    #[test]
    fn what_is_no_font_is_refused() {
        assert_eq!(Fonts::new(Some(b"no font".to_vec())).unwrap_err().kind(), error::ErrorKind::Invalid);
        assert!(Fonts::new(Some(BUILT_IN.to_vec())).is_ok());
    }
}
