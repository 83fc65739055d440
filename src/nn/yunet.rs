//! YuNet (Wu et al. 2023, the 2023-03 release): faces, their five landmarks and scores, at strides 8, 16 and 32.

use candle_core::{Shape, Tensor};
use candle_nn::VarBuilder;

use super::{
    flow::{Flow, Step, Unit},
    image_op::{self, ImageNetwork},
    kernels::{Isa, Map, MaxPool, elementwise},
    layers::{Act, Image, Images, Loaded, Stem},
};
use domain::{Detection, FaceBox, Turned};
use error::{Error, Result};

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
    backbone: [Unit; BACKBONE.len()],
    /// Finest level first.
    laterals: [Unit; STRIDES_PX.len()],
    /// Finest level first; the four heads of a level side by side.
    heads: [Unit; STRIDES_PX.len()],
}

impl Yunet {
    /// Sides of the input are multiples of this.
    pub const MULTIPLE_PX: usize = 32;

    /// Reads and packs the weights.
    pub(super) fn load(isa: Isa, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            isa,
            stem: Stem::load(isa, 16, Act::Relu, &vb.pp("stem"))?,
            stem_unit: Unit::load(isa, 16, 16, Act::Relu, &vb.pp("stem_unit"))?,
            backbone: units(isa, BACKBONE, Act::Relu, &vb.pp("backbone"))?,
            laterals: units(isa, [(NECK, NECK); 3], Act::Relu, &vb.pp("laterals"))?,
            heads: units(isa, [(NECK, CELL); 3], Act::Identity, &vb.pp("heads"))?,
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

    /// The backbone's three resolutions, finest first.
    fn levels(&self, photo: Image<'_>) -> [Map; 3] {
        use Step::{Plain, Pooled};
        let [a, b, c, d, e, f, ..] = self.backbone.each_ref();
        let steps = [Pooled(&self.stem_unit), Plain(a), Plain(b), Plain(c), Pooled(d), Plain(e), Plain(f)];
        let fine = Flow::new((photo.height / 2, photo.width / 2), steps)
            .run_to_map(|y, row| self.stem.run_rows(photo, y..y + 1, row));
        let [.., a, b, c, d] = self.backbone.each_ref();
        let middle = self.pooled(&fine, [Plain(a), Plain(b)]);
        let coarse = self.pooled(&middle, [Plain(c), Plain(d)]);
        [fine, middle, coarse]
    }

    /// A max pooling before `steps`.
    fn pooled(&self, map: &Map, steps: [Step<'_>; 2]) -> Map {
        let pool = MaxPool::new(self.isa, 2);
        Flow::new((map.height / 2, map.width / 2), steps)
            .run_to_map(|y, row| pool.run_row(map.rows(pool.window(y, map.height)), map.width, map.stride(), row))
    }

    /// The neck and the heads, from coarse to fine: each level is added what the coarser one came to, doubled.
    fn neck(&self, [fine, middle, coarse]: &[Map; 3], output: &mut [f32]) {
        let cells = |map: &Map| map.height * map.width * CELL;
        let (fine_cells, rest) = output.split_at_mut(cells(fine));
        let (middle_cells, coarse_cells) = rest.split_at_mut(cells(middle));
        let [fine_lateral, middle_lateral, coarse_lateral] = &self.laterals;
        let [fine_head, middle_head, coarse_head] = &self.heads;
        let coarse = on_map(coarse, [coarse_lateral]).run_to_map(copy(coarse));
        on_map(&coarse, [coarse_head]).run(copy(&coarse), coarse_cells);
        let middle = on_map(middle, [middle_lateral])
            .run_to_map(|y, row| elementwise::add_doubled(self.isa, (middle, &coarse), y, row));
        on_map(&middle, [middle_head]).run(copy(&middle), middle_cells);
        on_map(fine, [fine_lateral, fine_head])
            .run(|y, row| elementwise::add_doubled(self.isa, (fine, &middle), y, row), fine_cells);
    }
}

/// A flow for maps of this one's size.
fn on_map<'a, const N: usize>(map: &Map, units: [&'a Unit; N]) -> Flow<'a, N> {
    Flow::new((map.height, map.width), units.map(Step::Plain))
}

/// Fills rows with a map's own.
fn copy(map: &Map) -> impl Fn(usize, &mut [f32]) {
    |y, row| row.copy_from_slice(map.rows(y..y + 1))
}

/// Units numbered from 0 in `vb`, each with its channels in and out.
fn units<const N: usize>(isa: Isa, shapes: [(usize, usize); N], act: Act, vb: &VarBuilder<'_>) -> Loaded<[Unit; N]> {
    let units = shapes
        .iter()
        .enumerate()
        .map(|(index, &(inputs, outputs))| Unit::load(isa, inputs, outputs, act, &vb.pp(index)));
    let units: Vec<Unit> = units.collect::<Loaded<_>>()?;
    units.try_into().map_err(|_| candle_core::Error::Msg("as many units as shapes".into()))
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

    fn run(&self, photos: Images<'_>, output: &mut [f32]) {
        for photo in photos.iter() {
            self.neck(&self.levels(photo), output);
        }
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
            turned: Turned::No,
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
    /// ones are not yet suppressed. The network is made for faces of 10 to 300 pixels: one that is larger becomes several
    /// or none.
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
