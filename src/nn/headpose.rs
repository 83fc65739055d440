//! Head pose: Hopenet's bins (Ruiz et al. 2018) on `ShuffleNetV2` 1× (Ma et al. 2018).

use candle_core::{Shape, Tensor};
use candle_nn::VarBuilder;

use super::{
    image_op::{self, ImageNetwork},
    kernels::{Buffer, Depthwise3x3, Fuse, Isa, Map, MaxPool, Product, Rows, elementwise, padded},
    layers::{Act, Image, Images, Loaded, Stem, depthwise, depthwise_rows, pointwise, pointwise_map},
};
use domain::HeadPose;
use error::{Error, Result};

/// Bins an angle; each is three degrees wide.
const BINS: usize = 66;

/// Yaw, pitch, roll.
const ANGLES: usize = 3;

/// Channels of the stem.
const STEM: usize = 24;

/// Channels of the head.
const FEATURES: usize = 1024;

/// Channels of each half and number of units of the three stages.
pub(super) const STAGES: [(usize, usize); 3] = [(58, 4), (116, 8), (232, 4)];

/// The head-pose network.
#[derive(Debug)]
pub struct HeadPoseNet {
    isa: Isa,
    stem: Stem,
    stages: Vec<Stage>,
    head: Product,
    bins: Product,
}

impl HeadPoseNet {
    /// Sides of the crop in pixels.
    pub const SIDE_PX: usize = 224;

    /// Reads and packs the weights.
    pub(super) fn load(isa: Isa, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let mut stages = Vec::with_capacity(STAGES.len());
        let mut inputs = STEM;
        for (index, (half, units)) in STAGES.into_iter().enumerate() {
            stages.push(Stage::load(isa, inputs, half, units, &vb.pp("stages").pp(index))?);
            inputs = 2 * half;
        }
        Ok(Self {
            isa,
            stem: Stem::load(isa, STEM, Act::Relu, &vb.pp("stem"))?,
            stages,
            head: pointwise(isa, inputs, FEATURES, Act::Relu, &vb.pp("head"))?,
            bins: pointwise(isa, FEATURES, ANGLES * BINS, Act::Identity, &vb.pp("bins"))?,
        })
    }

    /// Angles in degrees for crops `[N, 224, 224, 3]`: RGB, normalised as for `ImageNet`.
    ///
    /// # Errors
    /// `internal` for a tensor of another shape.
    pub fn forward(&self, crops: &Tensor) -> Result<Vec<HeadPose>> {
        let bins = self
            .logits(crops)?
            .to_vec2::<f32>()
            .map_err(|error| Error::internal("head pose: the output cannot be read").with_source(error))?;
        let angle = |row: &[f32], index: usize| degrees(&row[index * BINS..][..BINS]);
        let pose = |row: &Vec<f32>| HeadPose { yaw: angle(row, 0), pitch: angle(row, 1), roll: angle(row, 2) };
        Ok(bins.iter().map(pose).collect())
    }

    /// The raw output `[N, 198]`: 66 bins each of yaw, pitch and roll.
    pub(super) fn logits(&self, crops: &Tensor) -> Result<Tensor> {
        image_op::forward(self, crops)
    }

    fn run_one(&self, crop: Image<'_>, output: &mut [f32]) {
        let mut map = self.stem_map(crop);
        for stage in &self.stages {
            map = stage.forward(&map);
        }
        let head = pointwise_map(&self.head, &map);
        let mut means = Buffer::take(FEATURES);
        elementwise::mean(self.isa, &head, &mut means);
        let mut bins = Buffer::take(padded(ANGLES * BINS));
        let width = bins.len();
        self.bins.run(Rows::pixels(&means, FEATURES, FEATURES), 1, &mut bins, width, Fuse::Store);
        output.copy_from_slice(&bins[..ANGLES * BINS]);
    }

    /// The stem, pooled to a quarter of the image's sides.
    fn stem_map(&self, crop: Image<'_>) -> Map {
        let pool = MaxPool::new(self.isa, 3);
        let (height, width) = (crop.height / 2, crop.width / 2);
        let mut full = Map::new(height, width, STEM);
        self.stem.run_rows(crop, 0..height, full.pixels_mut());
        let mut pooled = Map::new(pool.out_size(height), pool.out_size(width), STEM);
        let stride = pooled.stride();
        for row in 0..pooled.height {
            pool.run_row(full.rows(pool.window(row, height)), width, stride, pooled.rows_mut(row..row + 1));
        }
        pooled
    }
}

impl ImageNetwork for HeadPoseNet {
    const NAME: &'static str = "head pose";
    const SIDE: Option<usize> = Some(Self::SIDE_PX);

    fn output_shape(&self, count: usize, _height: usize, _width: usize) -> Shape {
        (count, ANGLES * BINS).into()
    }

    fn run(&self, crops: Images<'_>, output: &mut [f32]) {
        for (crop, output) in crops.iter().zip(output.chunks_exact_mut(ANGLES * BINS)) {
            self.run_one(crop, output);
        }
    }
}

/// The expected angle of softmax over bins: Σ p·i·3 − 99 degrees.
fn degrees(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for (bin, logit) in logits.iter().enumerate() {
        let power = (logit - largest).exp();
        sum += power;
        weighted += power * bin as f32;
    }
    weighted / sum * 3.0 - 99.0
}

/// Units of one resolution: the first halves the map, the others work on half of the channels.
#[derive(Debug)]
struct Stage {
    /// Depthwise and 1×1 of the first unit's left branch.
    left: (Depthwise3x3, Product),
    units: Vec<Branch>,
}

impl Stage {
    fn load(isa: Isa, inputs: usize, half: usize, units: usize, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let unit = |index: usize| {
            let (inputs, stride) = if index == 0 { (inputs, 2) } else { (half, 1) };
            Branch::load(isa, inputs, half, stride, &vb.pp("units").pp(index))
        };
        Ok(Self {
            left: (
                depthwise(isa, inputs, 2, Act::Identity, &vb.pp("left").pp("depthwise"))?,
                pointwise(isa, inputs, half, Act::Relu, &vb.pp("left").pp("project"))?,
            ),
            units: (0..units).map(unit).collect::<Loaded<_>>()?,
        })
    }

    fn forward(&self, input: &Map) -> Map {
        let left = self.left_map(input);
        let mut map = self.units[0].forward(input, 0, &left);
        for unit in &self.units[1..] {
            // After the shuffle the first half passes through and the second half is worked on.
            map = unit.forward(&map, map.channels / 2, &map);
        }
        map
    }

    fn left_map(&self, input: &Map) -> Map {
        let (depthwise, project) = &self.left;
        let mut output = Map::new(depthwise.out_size(input.height), depthwise.out_size(input.width), project.outputs());
        let (width, stride) = (output.width, output.stride());
        depthwise_rows(
            depthwise,
            (input.height, input.width),
            |rows, out| out.copy_from_slice(input.rows(rows)),
            |rows, made| {
                let pixels = Rows::pixels(made, padded(project.inputs()), project.inputs());
                project.run(pixels, rows.len() * width, output.rows_mut(rows), stride, Fuse::Store);
            },
        );
        output
    }
}

/// The working branch of a unit: 1×1, depthwise 3×3, 1×1; its result is shuffled with the other half.
#[derive(Debug)]
struct Branch {
    expand: Product,
    depthwise: Depthwise3x3,
    project: Product,
}

impl Branch {
    fn load(isa: Isa, inputs: usize, half: usize, stride: usize, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            expand: pointwise(isa, inputs, half, Act::Relu, &vb.pp("expand"))?,
            depthwise: depthwise(isa, half, stride, Act::Identity, &vb.pp("depthwise"))?,
            project: pointwise(isa, half, half, Act::Relu, &vb.pp("project"))?,
        })
    }

    /// Works on the channels of `input` from `first`, and shuffles the result with the first half of `left`.
    fn forward(&self, input: &Map, first: usize, left: &Map) -> Map {
        let half = self.project.outputs();
        let (height, width) = (self.depthwise.out_size(input.height), self.depthwise.out_size(input.width));
        let mut output = Map::new(height, width, 2 * half);
        let stride = output.stride();
        depthwise_rows(
            &self.depthwise,
            (input.height, input.width),
            |rows, out| {
                let pixels = Rows::pixels(&input.rows(rows.clone())[first..], input.stride(), self.expand.inputs());
                self.expand.run(pixels, rows.len() * input.width, out, padded(half), Fuse::Store);
            },
            |rows, made| {
                let fuse = Fuse::Interleave(left.rows(rows.clone()), left.stride());
                let pixels = Rows::pixels(made, padded(half), half);
                self.project.run(pixels, rows.len() * width, output.rows_mut(rows), stride, fuse);
            },
        );
        output
    }
}
