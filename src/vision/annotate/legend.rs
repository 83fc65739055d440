//! What stands under an annotated photo: what the frames mean, and who the numbers are.

use super::{
    Annotation, AnnotationKind,
    canvas::{Area, BLACK, Canvas, WHITE},
    plate::{self, MIN_TEXT_PX},
    text::Fonts,
};
use crate::photo::Photo;

/// A line, in heights of the text.
const LINE: f32 = 1.5;
/// A column at least, in heights of the text.
const COLUMN: f32 = 14.0;
/// So many lines may stand under the smallest photo.
const FEW_LINES: usize = 4;
/// The most rows of a JPEG.
const MAX_ROWS: u32 = u16::MAX as u32;

/// The measures of a legend: lines in columns under the photo.
pub(super) struct Legend {
    width: u32,
    /// In pixels.
    pub(super) height: u32,
    text_px: f32,
    columns: usize,
    /// Lines of the key, above those of the people.
    key_lines: usize,
    /// Lines of people.
    lines: usize,
}

impl Legend {
    /// For a photo of this size. It is never higher than the photo, but for the smallest ones; and empty where there is
    /// nothing to say.
    pub(super) fn new(width: u32, height: u32, annotations: &[Annotation]) -> Self {
        // By the width, as phones show it whole; a strip of a photo has letters that fit it.
        let text_px = ((width.min(height.saturating_mul(2)) as f32) / 44.0).max(MIN_TEXT_PX);
        let columns = ((width as f32 / (text_px * COLUMN)) as usize).max(1);
        let key_lines = kinds(annotations).count().div_ceil(columns);
        let wanted = named(annotations).count().div_ceil(columns);
        let line_px = text_px * LINE;
        let most_px = height.max((FEW_LINES as f32 * line_px) as u32).min(MAX_ROWS.saturating_sub(height));
        let lines = wanted.min(((most_px as f32 / line_px) as usize).saturating_sub(key_lines + 1));
        // Half a line above and below.
        let margins = usize::from(key_lines > 0);
        let height =
            (((key_lines + lines + margins) as f32 * line_px).ceil() as u32).min(MAX_ROWS.saturating_sub(height));
        Self { width, height, text_px, columns, key_lines, lines }
    }

    /// What its pixels take.
    pub(super) fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * Photo::CHANNELS
    }

    /// Its pixels.
    pub(super) fn drawn(&self, annotations: &[Annotation], fonts: &Fonts) -> Vec<u8> {
        let mut pixels = vec![WHITE[0]; self.bytes()];
        let mut canvas = Canvas { width: self.width, height: self.height, pixels: &mut pixels };
        self.draw_key(&mut canvas, annotations, fonts);
        self.draw_people(&mut canvas, annotations, fonts);
        pixels
    }

    /// What the frames mean, of those that there are.
    fn draw_key(&self, canvas: &mut Canvas<'_>, annotations: &[Annotation], fonts: &Fonts) {
        for (place, kind) in kinds(annotations).enumerate() {
            let [x, y] = self.corner(place % self.columns, place / self.columns);
            let side = self.text_px;
            let sample = Area { left: x, top: y, right: x + side, bottom: y + side }.grown(-side * 0.2);
            canvas.frame(&sample, (side / 8.0).round().max(2.0), kind.color(), kind.pattern());
            self.write(canvas, fonts, [x + side * 1.5, y], &[kind.meaning().to_owned()], 0.0);
        }
    }

    /// Who the numbers are, down the columns.
    fn draw_people(&self, canvas: &mut Canvas<'_>, annotations: &[Annotation], fonts: &Fonts) {
        let room = self.columns * self.lines;
        let all = named(annotations).count();
        let shown = if all > room { room.saturating_sub(1) } else { all };
        let lines = shown.div_ceil(self.columns).max(1);
        let lines = if all > room { self.lines.max(1) } else { lines };
        for (place, annotation) in named(annotations).take(shown).enumerate() {
            let [x, y] = self.corner(place / lines, self.key_lines + place % lines);
            let Some(number) = plate::number(annotation, fonts, self.text_px * 0.8) else { continue };
            number.draw(canvas, [x, y], annotation.kind);
            // Apart from the name, which may run from right to left.
            let similarity = annotation.similarity.map(|similarity| format!("{similarity:.2}"));
            let name = [x + self.text_px * 2.2, y];
            let end = self.write(canvas, fonts, name, &annotation.names, self.text_px * 3.0);
            self.write(canvas, fonts, [end + self.text_px * 0.6, y], similarity.as_slice(), 0.0);
        }
        if all > room && room > 0 {
            let corner = self.corner(shown / lines, self.key_lines + shown % lines);
            self.write(canvas, fonts, corner, &[format!("and {} more: see the answer", all - shown)], 0.0);
        }
    }

    /// The upper left corner of a cell.
    fn corner(&self, column: usize, line: usize) -> [f32; 2] {
        let margin = self.text_px * LINE / 2.0;
        let x = column as f32 * self.width as f32 / self.columns as f32 + margin;
        [x, line as f32 * self.text_px * LINE + margin]
    }

    /// Writes the first of `texts` that can be written, up to `left_px` before the end of its column; where it ends.
    fn write(&self, canvas: &mut Canvas<'_>, fonts: &Fonts, corner: [f32; 2], texts: &[String], left_px: f32) -> f32 {
        let column_px = self.width as f32 / self.columns as f32;
        let room_px = column_px - corner[0] % column_px - left_px;
        let line = fonts.line(texts, self.text_px, room_px);
        line.map_or(corner[0], |line| {
            canvas.write(&line, corner, BLACK);
            corner[0] + line.width
        })
    }
}

/// The kinds of frames in the photo.
fn kinds(annotations: &[Annotation]) -> impl Iterator<Item = AnnotationKind> {
    AnnotationKind::ALL.into_iter().filter(|kind| annotations.iter().any(|annotation| annotation.kind == *kind))
}

fn named(annotations: &[Annotation]) -> impl Iterator<Item = &Annotation> {
    annotations.iter().filter(|annotation| !annotation.names.is_empty())
}
