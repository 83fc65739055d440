//! Greedy non-maximum suppression.

use domain::{Detection, FaceBox};

/// The most cells of the grid along one side.
const MAX_CELLS: f32 = 128.0;

/// The least share of the smaller of two boxes in the larger one at which they are one face, if that fills the frame.
const PART_OF_A_FACE: f32 = 0.6;

/// One of the detector's finds, beside others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Find {
    /// The face.
    pub detection: Detection,
    /// What it counts against other finds of the same face: its score, or less.
    pub weight: f32,
    /// Whether the face is so large that parts of it are taken for faces as well.
    pub fills_frame: bool,
}

impl Find {
    /// Whether both are finds of one face: they overlap by more than `iou`, or one is a part of the other's large face.
    fn is_same_face(&self, other: &Self, iou: f32) -> bool {
        let (own, others) = (&self.detection.bbox, &other.detection.bbox);
        let in_large = self.fills_frame || other.fills_frame;
        own.iou(others) > iou || (in_large && own.containment(others) > PART_OF_A_FACE)
    }
}

/// Keeps of each face the find that weighs most; best score first. Ties keep their order.
///
/// Only boxes that share a cell of a grid are compared, so 10 000 candidates take milliseconds.
pub fn nms(mut finds: Vec<Find>, iou: f32) -> Vec<Detection> {
    finds.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut grid = Grid::around(&finds);
    let mut kept: Vec<Find> = Vec::new();
    for find in finds {
        let is_kept = |&index: &u32| kept[index as usize].is_same_face(&find, iou);
        let cells = grid.cells(&find.detection.bbox);
        if cells.clone().all(|cell| !grid.boxes[cell].iter().any(is_kept)) {
            for cell in cells {
                grid.boxes[cell].push(kept.len() as u32);
            }
            kept.push(find);
        }
    }
    let mut kept: Vec<Detection> = kept.into_iter().map(|find| find.detection).collect();
    kept.sort_by(|a, b| b.score.total_cmp(&a.score));
    kept
}

/// For each cell of a raster over all candidates, which kept boxes touch it.
struct Grid {
    left: f32,
    top: f32,
    cell: f32,
    columns: usize,
    boxes: Vec<Vec<u32>>,
}

impl Grid {
    /// Cells about as large as a typical box, so that a box touches few cells and a cell few boxes.
    fn around(finds: &[Find]) -> Self {
        let boxes = || finds.iter().map(|find| &find.detection.bbox);
        let least = |edge: fn(&FaceBox) -> f32| boxes().map(edge).fold(f32::INFINITY, f32::min);
        let most = |edge: fn(&FaceBox) -> f32| boxes().map(edge).fold(0.0, f32::max);
        let (left, top) = (least(|b| b.x1), least(|b| b.y1));
        let (width, height) = (most(|b| b.x2) - left, most(|b| b.y2) - top);
        let sides: f32 = boxes().map(|bbox| bbox.width().max(bbox.height())).sum();
        let cell = (sides / finds.len() as f32).max(width.max(height) / MAX_CELLS).max(1.0);
        let columns = (width / cell) as usize + 1;
        let rows = (height / cell) as usize + 1;
        Self { left, top, cell, columns, boxes: vec![Vec::new(); columns * rows] }
    }

    /// Indices of the cells that `bbox` touches.
    fn cells(&self, bbox: &FaceBox) -> impl Iterator<Item = usize> + Clone + use<> {
        let index = |length: f32| (length / self.cell) as usize;
        let columns = self.columns;
        let last_row = self.boxes.len() / columns - 1;
        let (from_column, to_column) = (index(bbox.x1 - self.left), index(bbox.x2 - self.left).min(columns - 1));
        let (from_row, to_row) = (index(bbox.y1 - self.top), index(bbox.y2 - self.top).min(last_row));
        (from_row..=to_row).flat_map(move |row| (from_column..=to_column).map(move |column| row * columns + column))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use domain::Turned;

    fn find(score: f32, x: f32, y: f32, width: f32, height: f32) -> Find {
        let bbox = FaceBox { x1: x, y1: y, x2: x + width, y2: y + height };
        let detection = Detection { score, bbox, landmarks: [[x, y]; 5], turned: Turned::No };
        Find { detection, weight: score, fills_frame: false }
    }

    /// Every pair compared: the definition.
    fn plain(mut finds: Vec<Find>, iou: f32) -> Vec<Detection> {
        finds.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let mut kept: Vec<Find> = Vec::new();
        for find in finds {
            if !kept.iter().any(|better| better.is_same_face(&find, iou)) {
                kept.push(find);
            }
        }
        kept.sort_by(|a, b| b.detection.score.total_cmp(&a.detection.score));
        kept.into_iter().map(|find| find.detection).collect()
    }

    #[test]
    fn the_better_of_two_survives() {
        let (weak, strong) = (find(0.7, 0.0, 0.0, 10.0, 10.0), find(0.9, 1.0, 0.0, 10.0, 10.0));
        let apart = find(0.6, 50.0, 0.0, 10.0, 10.0);
        assert_eq!(nms(vec![weak, apart, strong], 0.3), [strong.detection, apart.detection]);
        let trusted = Find { weight: 1.0, ..weak };
        assert_eq!(nms(vec![trusted, apart, strong], 0.3), [weak.detection, apart.detection]);
    }

    #[test]
    fn nothing_and_nonsense() {
        assert!(nms(Vec::new(), 0.3).is_empty());
        let lost = find(0.9, f32::NAN, f32::INFINITY, -3.0, f32::NAN);
        assert!(nms(vec![lost, find(0.8, 0.0, 0.0, 5.0, 5.0), lost], 0.3).len() <= 3);
    }

    prop_compose! {
        fn finds()(raw in prop::collection::vec((0.6_f32..1.0, -20.0_f32..600.0, -20.0_f32..400.0, 1.0_f32..120.0, 0.5_f32..2.0, 0.0_f32..0.2), 0..200))
            -> Vec<Find> {
            let loaded = |(score, x, y, width, ratio, less): (f32, f32, f32, f32, f32, f32)| {
                Find { weight: score - less, fills_frame: width > 90.0, ..find(score, x, y, width, width * ratio) }
            };
            raw.into_iter().map(loaded).collect()
        }
    }

    proptest! {
        #[test]
        fn the_grid_changes_nothing(finds in finds(), iou in 0.0_f32..0.9) {
            prop_assert_eq!(nms(finds.clone(), iou), plain(finds, iou));
        }

        #[test]
        fn no_face_is_found_twice(finds in finds()) {
            let kept = nms(finds, 0.3);
            for (index, face) in kept.iter().enumerate() {
                prop_assert!(kept[..index].iter().all(|other| other.bbox.iou(&face.bbox) <= 0.3));
            }
        }
    }
}
