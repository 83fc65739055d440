//! MiniFASNet V2 SE (Silent-Face-Anti-Spoofing): is it a living person or a picture of one?

use candle_core::{Shape, Tensor};
use candle_nn::VarBuilder;

use super::{
    image_op::{self, ImageNetwork},
    kernels::{Buffer, DepthwiseGlobal, Fuse, Isa, Product, Rows, padded},
    layers::{
        Act, BlockShape, FaceStem, Image, Images, InvertedResidual, Loaded, depthwise_global, pointwise, pointwise_map,
    },
};
use error::{Error, Result};

/// live, spoof, other.
const CLASSES: usize = 3;

/// Channels of the head.
const FEATURES: usize = 512;

/// Channels of the first linear layer; the batch norm behind it is folded into it.
const NECK: usize = 128;

/// Channels in, between and out, the stride, and whether squeeze-and-excite follows, of each block.
pub(super) const BLOCKS: [(usize, usize, usize, usize, bool); 15] = [
    (32, 103, 64, 2, false),
    (64, 13, 64, 1, false),
    (64, 13, 64, 1, false),
    (64, 13, 64, 1, false),
    (64, 13, 64, 1, true),
    (64, 231, 128, 2, false),
    (128, 231, 128, 1, false),
    (128, 52, 128, 1, false),
    (128, 26, 128, 1, false),
    (128, 77, 128, 1, false),
    (128, 26, 128, 1, false),
    (128, 26, 128, 1, true),
    (128, 308, 128, 2, false),
    (128, 26, 128, 1, false),
    (128, 26, 128, 1, true),
];

/// The passive liveness network.
#[derive(Debug)]
pub struct MiniFasNet {
    stem: FaceStem,
    blocks: Vec<InvertedResidual>,
    head: Product,
    global: DepthwiseGlobal,
    neck: Product,
    classes: Product,
}

impl MiniFasNet {
    /// Sides of the crop in pixels.
    pub const SIDE_PX: usize = 128;

    /// Reads and packs the weights.
    pub(super) fn load(isa: Isa, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let block = |(index, &(inputs, hidden, outputs, stride, gated)): (usize, &_)| {
            let shape = BlockShape { inputs, hidden, outputs, stride, gated };
            InvertedResidual::load(isa, shape, &vb.pp("blocks").pp(index))
        };
        Ok(Self {
            stem: FaceStem::load(isa, 32, vb)?,
            blocks: BLOCKS.iter().enumerate().map(block).collect::<Loaded<_>>()?,
            head: pointwise(isa, 128, FEATURES, Act::PRelu, &vb.pp("head"))?,
            global: depthwise_global(isa, Self::SIDE_PX / 16, FEATURES, &vb.pp("global"))?,
            neck: pointwise(isa, FEATURES, NECK, Act::Identity, &vb.pp("neck"))?,
            classes: pointwise(isa, NECK, CLASSES, Act::Identity, &vb.pp("classes"))?,
        })
    }

    /// Probabilities [live, spoof, other] for crops `[N, 128, 128, 3]`: BGR, 0..=255.
    ///
    /// # Errors
    /// `internal` for a tensor of another shape.
    pub fn forward(&self, crops: &Tensor) -> Result<Vec<[f32; CLASSES]>> {
        let logits = self
            .logits(crops)?
            .to_vec2::<f32>()
            .map_err(|error| Error::internal("MiniFASNet: the output cannot be read").with_source(error))?;
        Ok(logits.iter().map(|row| softmax([row[0], row[1], row[2]])).collect())
    }

    /// The raw output `[N, 3]`.
    fn logits(&self, crops: &Tensor) -> Result<Tensor> {
        image_op::forward(self, crops)
    }

    fn run_one(&self, crop: Image<'_>, output: &mut [f32]) {
        let mut map = self.stem.forward(crop);
        for block in &self.blocks {
            map = block.forward(&map);
        }
        let head = pointwise_map(&self.head, &map);
        let mut pooled = Buffer::take(FEATURES);
        self.global.run(head.pixels(), &mut pooled);
        let mut neck = Buffer::take(NECK);
        self.neck.run(Rows::pixels(&pooled, FEATURES, FEATURES), 1, &mut neck, NECK, Fuse::Store);
        let mut classes = Buffer::take(padded(CLASSES));
        let width = classes.len();
        self.classes.run(Rows::pixels(&neck, NECK, NECK), 1, &mut classes, width, Fuse::Store);
        output.copy_from_slice(&classes[..CLASSES]);
    }
}

impl ImageNetwork for MiniFasNet {
    const NAME: &'static str = "MiniFASNet";
    const SIDE: Option<usize> = Some(Self::SIDE_PX);

    fn output_shape(&self, count: usize, _height: usize, _width: usize) -> Shape {
        (count, CLASSES).into()
    }

    fn run(&self, crops: Images<'_>, output: &mut [f32]) {
        for (crop, output) in crops.iter().zip(output.chunks_exact_mut(CLASSES)) {
            self.run_one(crop, output);
        }
    }
}

fn softmax(logits: [f32; CLASSES]) -> [f32; CLASSES] {
    let largest = logits.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.map(|logit| (logit - largest).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|power| power / sum)
}
