//! Greedy non-maximum suppression.

use domain::{Detection, FaceBox};

/// The most cells of the grid along one side.
const MAX_CELLS: f32 = 128.0;

/// Keeps, best first, every detection that overlaps no better kept one by more than `iou`. Ties keep their order.
///
/// Only boxes that share a cell of a grid are compared, so 10 000 candidates take milliseconds.
pub fn nms(mut detections: Vec<Detection>, iou: f32) -> Vec<Detection> {
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut grid = Grid::around(&detections);
    let mut kept: Vec<Detection> = Vec::new();
    for detection in detections {
        let overlaps = |&index: &u32| kept[index as usize].bbox.iou(&detection.bbox) > iou;
        let cells = grid.cells(&detection.bbox);
        if cells.clone().all(|cell| !grid.boxes[cell].iter().any(overlaps)) {
            for cell in cells {
                grid.boxes[cell].push(kept.len() as u32);
            }
            kept.push(detection);
        }
    }
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
    fn around(detections: &[Detection]) -> Self {
        let least = |edge: fn(&FaceBox) -> f32| detections.iter().map(|d| edge(&d.bbox)).fold(f32::INFINITY, f32::min);
        let most = |edge: fn(&FaceBox) -> f32| detections.iter().map(|d| edge(&d.bbox)).fold(0.0, f32::max);
        let (left, top) = (least(|b| b.x1), least(|b| b.y1));
        let (width, height) = (most(|b| b.x2) - left, most(|b| b.y2) - top);
        let sides: f32 = detections.iter().map(|d| d.bbox.width().max(d.bbox.height())).sum();
        let cell = (sides / detections.len() as f32).max(width.max(height) / MAX_CELLS).max(1.0);
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

    fn detection(score: f32, x: f32, y: f32, width: f32, height: f32) -> Detection {
        Detection { score, bbox: FaceBox { x1: x, y1: y, x2: x + width, y2: y + height }, landmarks: [[x, y]; 5] }
    }

    /// Every pair compared: the definition.
    fn plain(mut detections: Vec<Detection>, iou: f32) -> Vec<Detection> {
        detections.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut kept: Vec<Detection> = Vec::new();
        for detection in detections {
            if kept.iter().all(|better| better.bbox.iou(&detection.bbox) <= iou) {
                kept.push(detection);
            }
        }
        kept
    }

    #[test]
    fn the_better_of_two_survives() {
        let (weak, strong) = (detection(0.7, 0.0, 0.0, 10.0, 10.0), detection(0.9, 1.0, 0.0, 10.0, 10.0));
        let apart = detection(0.6, 50.0, 0.0, 10.0, 10.0);
        assert_eq!(nms(vec![weak, apart, strong], 0.3), [strong, apart]);
    }

    #[test]
    fn nothing_and_nonsense() {
        assert!(nms(Vec::new(), 0.3).is_empty());
        let lost = detection(0.9, f32::NAN, f32::INFINITY, -3.0, f32::NAN);
        assert!(nms(vec![lost, detection(0.8, 0.0, 0.0, 5.0, 5.0), lost], 0.3).len() <= 3);
    }

    prop_compose! {
        fn detections()(raw in prop::collection::vec((0.6_f32..1.0, -20.0_f32..600.0, -20.0_f32..400.0, 1.0_f32..120.0, 0.5_f32..2.0), 0..200))
            -> Vec<Detection> {
            raw.into_iter().map(|(score, x, y, width, ratio)| detection(score, x, y, width, width * ratio)).collect()
        }
    }

    proptest! {
        #[test]
        fn the_grid_changes_nothing(detections in detections(), iou in 0.0_f32..0.9) {
            prop_assert_eq!(nms(detections.clone(), iou), plain(detections, iou));
        }

        #[test]
        fn a_second_pass_keeps_all(detections in detections()) {
            let once = nms(detections, 0.3);
            prop_assert_eq!(nms(once.clone(), 0.3), once);
        }
    }
}
