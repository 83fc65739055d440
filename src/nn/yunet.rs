//! YuNet (Wu et al. 2023, the 2023-03 release): faces, their five landmarks and scores, at strides 8, 16 and 32.

use candle_core::{Shape, Tensor};
use candle_nn::VarBuilder;

use super::{
    image_op::{self, ImageNetwork},
    kernels::{Depthwise3x3, Isa, Map, MaxPool, Product, elementwise},
    layers::{Act, Image, Loaded, Stem, depthwise, depthwise_map, depthwise_rows, pointwise, pointwise_rows},
};
use crate::{
    domain::{Detection, FaceBox},
    error::{Error, Result},
};

/// Pixels from cell to cell of each level.
pub(super) const STRIDES_PX: [usize; 3] = [8, 16, 32];

/// Numbers a cell: class, object, box (4), landmarks (10).
const CELL: usize = 16;

/// Channels of the neck.
const NECK: usize = 64;

/// Channels in and out of the backbone's units after the stem's own.
pub(super) const BACKBONE: [(usize, usize); 10] =
    [(16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 64), (64, 64), (64, 64), (64, 64), (64, 64)];

/// The face detector.
#[derive(Debug)]
pub struct Yunet {
    isa: Isa,
    stem: Stem,
    stem_unit: Unit,
    /// Two a stage: the second's result is pooled where the next stage wants half the resolution.
    backbone: Vec<Unit>,
    /// Finest level first.
    laterals: Vec<Unit>,
    /// Finest level first; the four heads of a level side by side.
    heads: Vec<Unit>,
}

impl Yunet {
    /// Sides of the input are multiples of this.
    pub const MULTIPLE_PX: usize = 32;

    /// Reads and packs the weights.
    pub(super) fn load(isa: Isa, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let units = |name: &str, shapes: &[(usize, usize)], act: Act| -> Loaded<Vec<Unit>> {
            let unit = |(index, &(inputs, outputs)): (usize, &(usize, usize))| {
                Unit::load(isa, inputs, outputs, act, &vb.pp(name).pp(index))
            };
            shapes.iter().enumerate().map(unit).collect()
        };
        Ok(Self {
            isa,
            stem: Stem::load(isa, 16, Act::Relu, &vb.pp("stem"))?,
            stem_unit: Unit::load(isa, 16, 16, Act::Relu, &vb.pp("stem_unit"))?,
            backbone: units("backbone", &BACKBONE, Act::Relu)?,
            laterals: units("laterals", &[(NECK, NECK); 3], Act::Relu)?,
            heads: units("heads", &[(NECK, CELL); 3], Act::Identity)?,
        })
    }

    /// The raw output for a photo `[1, height, width, 3]`: BGR, 0..=255, sides multiples of 32.
    ///
    /// # Errors
    /// `internal` for a tensor of another shape.
    pub fn forward(&self, photo: &Tensor) -> Result<YunetOutput> {
        let output = image_op::forward(self, photo)?;
        let (_, height, width, _) = photo.dims4().map_err(unreadable)?;
        Ok(YunetOutput {
            height,
            width,
            cells: output.flatten_all().and_then(|cells| cells.to_vec1()).map_err(unreadable)?,
        })
    }

    /// Stem, its unit and the first pooling, row by row: the photo's largest maps never exist.
    fn stem_map(&self, photo: Image<'_>) -> Map {
        let (height, width) = (photo.height / 2, photo.width / 2);
        let mut pooled = Map::new(height / 2, width / 2, self.stem_unit.outputs());
        self.stem_unit.run_pooled(
            self.isa,
            (height, width),
            |rows, out| {
                let mut made = Map::new(rows.len(), width, self.stem.outputs());
                self.stem.run_rows(photo, rows, made.pixels_mut());
                pointwise_rows(&self.stem_unit.pointwise, &made, 0..made.height, out);
            },
            &mut pooled,
        );
        pooled
    }

    fn levels(&self, photo: Image<'_>) -> [Map; 3] {
        let unit = |index: usize, map: &Map| self.backbone[index].forward(map);
        let pooled = |index: usize, map: &Map| self.backbone[index].forward_pooled(self.isa, map);
        let map = unit(0, &self.stem_map(photo));
        let map = unit(1, &map);
        let map = pooled(3, &unit(2, &map));
        let fine = unit(5, &unit(4, &map));
        let middle = unit(7, &unit(6, &self.pool(&fine)));
        let coarse = unit(9, &unit(8, &self.pool(&middle)));
        [fine, middle, coarse]
    }

    fn pool(&self, map: &Map) -> Map {
        let pool = MaxPool::new(self.isa, 2);
        let mut output = Map::new(map.height / 2, map.width / 2, map.channels);
        for row in 0..output.height {
            let window = map.rows(pool.window(row, map.height));
            pool.run_row(window, map.width, map.stride(), output.rows_mut(row..row + 1));
        }
        output
    }
}

fn unreadable(error: candle_core::Error) -> Error {
    Error::internal("YuNet: the output cannot be read").with_source(error)
}

impl ImageNetwork for Yunet {
    const NAME: &'static str = "YuNet";
    const SIDE: Option<usize> = None;

    fn output_shape(&self, _count: usize, height: usize, width: usize) -> Shape {
        let cells: usize = STRIDES_PX.iter().map(|stride| (height / stride) * (width / stride)).sum();
        (cells, CELL).into()
    }

    fn run(&self, photos: &[Image<'_>], output: &mut [f32]) {
        for &photo in photos {
            let [mut fine, mut middle, coarse] = self.levels(photo);
            let coarse = self.laterals[2].forward(&coarse);
            elementwise::add_doubled(self.isa, &mut middle, &coarse);
            let middle = self.laterals[1].forward(&middle);
            elementwise::add_doubled(self.isa, &mut fine, &middle);
            let fine = self.laterals[0].forward(&fine);
            let mut rest = &mut *output;
            for (map, head) in [fine, middle, coarse].iter().zip(&self.heads) {
                let (level, after) = rest.split_at_mut(map.height * map.width * CELL);
                head.forward_into(map, level);
                rest = after;
            }
        }
    }
}

/// The network's one building block: 1×1, then depthwise 3×3.
#[derive(Debug)]
struct Unit {
    pointwise: Product,
    depthwise: Depthwise3x3,
}

impl Unit {
    fn load(isa: Isa, inputs: usize, outputs: usize, act: Act, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            pointwise: pointwise(isa, inputs, outputs, Act::Identity, &vb.pp("pointwise"))?,
            depthwise: depthwise(isa, outputs, 1, act, &vb.pp("depthwise"))?,
        })
    }

    const fn outputs(&self) -> usize {
        self.pointwise.outputs()
    }

    fn forward(&self, input: &Map) -> Map {
        let mut output = Map::new(input.height, input.width, self.outputs());
        self.forward_into(input, output.pixels_mut());
        output
    }

    fn forward_into(&self, input: &Map, output: &mut [f32]) {
        let produce = |rows, out: &mut [f32]| pointwise_rows(&self.pointwise, input, rows, out);
        depthwise_map(&self.depthwise, (input.height, input.width), produce, output);
    }

    /// The unit and a max pooling, which halves both sides.
    fn forward_pooled(&self, isa: Isa, input: &Map) -> Map {
        let mut pooled = Map::new(input.height / 2, input.width / 2, self.outputs());
        self.run_pooled(
            isa,
            (input.height, input.width),
            |rows, out| pointwise_rows(&self.pointwise, input, rows, out),
            &mut pooled,
        );
        pooled
    }

    fn run_pooled(
        &self,
        isa: Isa,
        size: (usize, usize),
        produce: impl FnMut(std::ops::Range<usize>, &mut [f32]),
        pooled: &mut Map,
    ) {
        let pool = MaxPool::new(isa, 2);
        let stride = pooled.stride();
        depthwise_rows(&self.depthwise, size, 2, produce, |rows, made| {
            for (row, pair) in (rows.start / 2..rows.end / 2).zip(made.chunks_exact(2 * size.1 * stride)) {
                pool.run_row(pair, size.1, stride, pooled.rows_mut(row..row + 1));
            }
        });
    }
}

/// What the network says of a photo, cell by cell.
#[derive(Debug, Clone)]
pub struct YunetOutput {
    height: usize,
    width: usize,
    /// Level by level, row by row: class and object logits, box, landmarks.
    cells: Vec<f32>,
}

/// The cells of one resolution.
#[derive(Debug, Clone, Copy)]
pub struct YunetLevel<'a> {
    /// Pixels from cell to cell.
    pub stride_px: usize,
    /// Rows of cells.
    pub rows: usize,
    /// Columns of cells.
    pub columns: usize,
    cells: &'a [f32],
}

impl<'a> YunetLevel<'a> {
    fn cell(&self, row: usize, column: usize) -> &'a [f32] {
        &self.cells[(row * self.columns + column) * CELL..][..CELL]
    }

    /// The geometric mean of the class and object probabilities, 0..=1.
    pub fn score(&self, row: usize, column: usize) -> f32 {
        let cell = self.cell(row, column);
        (sigmoid(cell[0]) * sigmoid(cell[1])).sqrt()
    }

    /// The four raw box numbers of a cell.
    pub fn bbox(&self, row: usize, column: usize) -> &'a [f32] {
        &self.cell(row, column)[2..6]
    }

    /// The ten raw landmark numbers of a cell.
    pub fn landmarks(&self, row: usize, column: usize) -> &'a [f32] {
        &self.cell(row, column)[6..16]
    }

    fn detection(&self, row: usize, column: usize, score: f32) -> Detection {
        let (stride, b, k) = (self.stride_px as f32, self.bbox(row, column), self.landmarks(row, column));
        let (x, y) = (column as f32, row as f32);
        let (centre_x, centre_y) = ((x + b[0]) * stride, (y + b[1]) * stride);
        let (half_width, half_height) = (b[2].exp() * stride / 2.0, b[3].exp() * stride / 2.0);
        Detection {
            score,
            bbox: FaceBox {
                x1: centre_x - half_width,
                y1: centre_y - half_height,
                x2: centre_x + half_width,
                y2: centre_y + half_height,
            },
            landmarks: std::array::from_fn(|i| [(k[2 * i] + x) * stride, (k[2 * i + 1] + y) * stride]),
        }
    }
}

impl YunetOutput {
    /// The three resolutions, finest first.
    pub fn levels(&self) -> [YunetLevel<'_>; 3] {
        let mut rest = self.cells.as_slice();
        STRIDES_PX.map(|stride_px| {
            let (rows, columns) = (self.height / stride_px, self.width / stride_px);
            let (cells, after) = rest.split_at(rows * columns * CELL);
            rest = after;
            YunetLevel { stride_px, rows, columns, cells }
        })
    }

    /// All numbers of all cells, with class and object as probabilities.
    pub(super) fn probabilities(&self) -> Vec<f32> {
        let of_cell = |(index, &value): (usize, &f32)| if index % CELL < 2 { sigmoid(value) } else { value };
        self.cells.iter().enumerate().map(of_cell).collect()
    }

    /// All cells that score at least `min_score` (0..=1) as faces in pixels of the input, best first; overlapping
    /// ones are not yet suppressed.
    pub fn detections(&self, min_score: f32) -> Vec<Detection> {
        let mut found = Vec::new();
        for level in self.levels() {
            for row in 0..level.rows {
                for column in 0..level.columns {
                    let score = level.score(row, column);
                    if score >= min_score {
                        found.push(level.detection(row, column, score));
                    }
                }
            }
        }
        found.sort_by(|a: &Detection, b| b.score.total_cmp(&a.score));
        found
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
