//! Where plates stand: beside their faces, inside the photo, over no other face and no other plate.

use super::canvas::Area;
use domain::FaceBox;

/// The plates of a photo in the making.
pub(super) struct Layout {
    width: f32,
    height: f32,
    /// Between a face and its plate: what the frame takes.
    gap: f32,
    /// The faces as far as the photo shows them.
    faces: Vec<Area>,
    /// Their plates, where there is one.
    plates: Vec<Option<Area>>,
}

impl Layout {
    /// No plates yet; frames reach `gap` pixels beyond their faces.
    pub(super) fn new(width: u32, height: u32, gap: f32, faces: impl IntoIterator<Item = FaceBox>) -> Self {
        let (width, height) = (width as f32, height as f32);
        let shown = |face: FaceBox| Area {
            left: face.x1.max(0.0).min(width).floor(),
            top: face.y1.max(0.0).min(height).floor(),
            right: face.x2.max(0.0).min(width).ceil(),
            bottom: face.y2.max(0.0).min(height).ceil(),
        };
        let faces: Vec<Area> = faces.into_iter().map(shown).collect();
        let plates = vec![None; faces.len()];
        Self { width, height, gap, faces, plates }
    }

    /// Where a face's plate stands.
    pub(super) fn plate(&self, face: usize) -> Option<Area> {
        self.plates[face]
    }

    /// Gives a face a plate of this size beside it, in the place of the one that it has; false where there is no room.
    pub(super) fn put_beside(&mut self, face: usize, size: [f32; 2]) -> bool {
        let Area { left, top, right, bottom } = self.faces[face].grown(self.gap);
        let [width, height] = size.map(f32::ceil);
        let (centre, middle) = (f32::midpoint(left, right) - width / 2.0, f32::midpoint(top, bottom) - height / 2.0);
        // Above and below a plate may slip sideways, beside the face up and down: as far as the photo's edges want.
        let (column, row) =
            (|x: f32| x.min(self.width - width).max(0.0), |y: f32| y.min(self.height - height).max(0.0));
        let (above, below) = (top - height, bottom);
        let across = [left, right - width, centre].map(column);
        let down = [top, bottom - height, middle].map(row);
        let corners = across
            .map(|x| [x, above])
            .into_iter()
            .chain(across.map(|x| [x, below]))
            .chain(down.map(|y| [right, y]))
            .chain(down.map(|y| [left - width, y]));
        self.put(face, corners, [width, height], false)
    }

    /// Gives a face a plate of this size on a corner of its own box, as nothing beside it is free: the lower ones first,
    /// where there is less of a face. False where there is no room either.
    pub(super) fn put_inside(&mut self, face: usize, size: [f32; 2]) -> bool {
        let Area { left, top, right, bottom } = self.faces[face];
        let [width, height] = size.map(f32::ceil);
        let (right, bottom) = (right - width, bottom - height);
        let corners = [[left, bottom], [right, bottom], [left, top], [right, top]];
        self.put(face, corners.into_iter(), [width, height], true)
    }

    /// Puts the plate on the first of `corners` where it covers nothing but, if it may, its own face.
    fn put(
        &mut self,
        face: usize,
        corners: impl Iterator<Item = [f32; 2]>,
        [width, height]: [f32; 2],
        may_cover_own: bool,
    ) -> bool {
        let free = corners.map(|corner| corner.map(f32::round)).find_map(|[left, top]| {
            let plate = Area { left, top, right: left + width, bottom: top + height };
            let is_inside = left >= 0.0 && top >= 0.0 && plate.right <= self.width && plate.bottom <= self.height;
            let must_be_free = |place: &usize| *place != face || !may_cover_own;
            let is_free = is_inside
                && (0..self.faces.len()).filter(must_be_free).all(|place| !plate.overlaps(&self.faces[place]))
                && (0..self.plates.len())
                    .filter(|place| *place != face)
                    .all(|place| self.plates[place].is_none_or(|taken| !plate.overlaps(&taken)));
            is_free.then_some(plate)
        });
        self.plates[face] = free.or(self.plates[face]);
        free.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn face(x1: f32, y1: f32, width: f32, height: f32) -> FaceBox {
        FaceBox { x1, y1, x2: x1 + width, y2: y1 + height }
    }

    /// Plates of these sizes, as they are put for every face.
    fn laid(layout: &mut Layout, sizes: &[[f32; 2]]) {
        for place in 0..layout.faces.len() {
            let _ = layout.put_beside(place, sizes[0]) || layout.put_inside(place, sizes[0]);
        }
        for (place, size) in sizes.iter().enumerate().take(layout.faces.len()) {
            layout.put_beside(place, *size);
        }
    }

    proptest! {
        /// Also in crowds that overlap, beyond the edges and for names wider than the photo.
        #[test]
        fn plates_are_whole_and_cover_no_other_face_and_no_other_plate(
            (width, height) in (1_u32..900, 1_u32..900),
            faces in prop::collection::vec((-100.0_f32..900.0, -100.0_f32..900.0, 0.0_f32..200.0, 0.0_f32..200.0), 1..60),
            sizes in prop::collection::vec([1.0_f32..300.0, 1.0_f32..60.0], 60),
        ) {
            let boxes = faces.into_iter().map(|(x, y, width, height)| face(x, y, width, height));
            let mut layout = Layout::new(width, height, 3.0, boxes);
            laid(&mut layout, &sizes);
            for (place, plate) in layout.plates.iter().enumerate() {
                let Some(plate) = plate else { continue };
                prop_assert!(plate.left >= 0.0 && plate.top >= 0.0);
                prop_assert!(plate.right <= width as f32 && plate.bottom <= height as f32);
                for other in (0..layout.faces.len()).filter(|other| *other != place) {
                    prop_assert!(!plate.overlaps(&layout.faces[other]), "{plate:?} {:?}", layout.faces[other]);
                    prop_assert!(layout.plates[other].is_none_or(|taken| !plate.overlaps(&taken)));
                }
            }
        }

        /// A class in rows, shoulder to shoulder.
        #[test]
        fn every_face_of_a_class_has_its_number(columns in 1_usize..14, rows in 1_usize..5, side in 20.0_f32..60.0) {
            let faces = (0..columns * rows).map(|place| {
                let (column, row) = ((place % columns) as f32, (place / columns) as f32);
                face(column * side * 1.1, row * side * 1.5, side, side * 1.2)
            });
            let (width, height) = (columns as f32 * side * 1.1, rows as f32 * side * 1.5);
            let mut layout = Layout::new(width.ceil() as u32, height.ceil() as u32, 3.0, faces);
            laid(&mut layout, &[[14.0, 14.0]]);
            prop_assert!(layout.plates.iter().all(Option::is_some));
        }
    }

    #[test]
    fn a_plate_stands_above_its_face_and_where_there_is_no_room_below() {
        let mut layout = Layout::new(400, 300, 3.0, [face(100.0, 100.0, 60.0, 80.0), face(330.0, 5.0, 60.0, 80.0)]);
        laid(&mut layout, &[[90.0, 20.0], [90.0, 20.0]]);
        assert_eq!(layout.plate(0), Some(Area { left: 97.0, top: 77.0, right: 187.0, bottom: 97.0 }));
        assert_eq!(layout.plate(1), Some(Area { left: 310.0, top: 88.0, right: 400.0, bottom: 108.0 }));
    }
}
