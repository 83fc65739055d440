//! The plate of a face: its number, a mark where nobody was named, and the name where there is room.

use super::{
    Annotation, AnnotationKind,
    canvas::{Area, Canvas},
    layout::Layout,
    text::{Fonts, Line},
};

/// Letters lower than this cannot be read.
pub(super) const MIN_TEXT_PX: f32 = 12.0;
/// What a plate's letters shrink by until there is room for it.
const SHRINK: f32 = 0.85;

/// Texts on a plate of one colour.
pub(super) struct Plate<'f> {
    lines: Vec<Line<'f>>,
    margin: f32,
}

impl Plate<'_> {
    pub(super) fn size(&self) -> [f32; 2] {
        let width: f32 = self.lines.iter().map(|line| line.width + 2.0 * self.margin).sum();
        let height = self.lines.iter().map(|line| line.height).fold(0.0, f32::max);
        [width, height + self.margin]
    }

    /// Draws it with its upper left corner there.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, [left, top]: [f32; 2], kind: AnnotationKind) {
        let [width, height] = self.size().map(f32::ceil);
        canvas.fill(&Area { left, top, right: left + width, bottom: top + height }, kind.color());
        let mut x = left + self.margin;
        for line in &self.lines {
            canvas.write(line, [x, top + (height - line.height) / 2.0], kind.ink());
            x += line.width + 2.0 * self.margin;
        }
    }
}

/// The plate with the number alone.
pub(super) fn number<'f>(annotation: &Annotation, fonts: &'f Fonts, text_px: f32) -> Option<Plate<'f>> {
    let text = format!("{}{}", annotation.number, annotation.kind.mark());
    Some(Plate { lines: vec![fonts.line(&[text], text_px, f32::INFINITY)?], margin: text_px * 0.2 })
}

/// The plate with the number and the whole name.
fn with_name<'f>(annotation: &Annotation, fonts: &'f Fonts, text_px: f32) -> Option<Plate<'f>> {
    let mut plate = number(annotation, fonts, text_px)?;
    plate.lines.push(fonts.line(&annotation.names, text_px, f32::INFINITY)?);
    Some(plate)
}

/// Plates for all faces of a photo whose longest side is given: first numbers, as large as their faces and the room
/// beside them let them be, then names where there is room still.
pub(super) fn plates<'f>(
    annotations: &[Annotation],
    fonts: &'f Fonts,
    layout: &mut Layout,
    longest_side: f32,
) -> Vec<Option<Plate<'f>>> {
    let smallest_px = (longest_side / 110.0).max(MIN_TEXT_PX);
    let largest_px = (longest_side / 40.0).max(MIN_TEXT_PX);
    let mut plates = Vec::with_capacity(annotations.len());
    let mut text_px = Vec::with_capacity(annotations.len());
    for (face, annotation) in annotations.iter().enumerate() {
        let wanted_px = (annotation.bbox.width() * 0.4).max(smallest_px).min(largest_px);
        let sizes =
            || std::iter::successors(Some(wanted_px), |px| Some(px * SHRINK)).take_while(|px| *px >= MIN_TEXT_PX);
        let numbers = || sizes().filter_map(|px| Some((px, number(annotation, fonts, px)?)));
        let beside = numbers().find(|(_, plate)| layout.put_beside(face, plate.size()));
        let put = beside.or_else(|| numbers().find(|(_, plate)| layout.put_inside(face, plate.size())));
        let (px, plate) = put.unzip();
        text_px.push(px);
        plates.push(plate);
    }
    for (face, annotation) in annotations.iter().enumerate() {
        let named = text_px[face].and_then(|px| with_name(annotation, fonts, px));
        if let Some(plate) = named.filter(|plate| layout.put_beside(face, plate.size())) {
            plates[face] = Some(plate);
        }
    }
    plates
}
