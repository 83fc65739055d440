//! MobileFaceNet (Chen et al. 2018), trained with the `ArcFace` loss: an aligned face to a vector.

use candle_core::{Shape, Tensor};
use candle_nn::VarBuilder;

use super::{
    embedding::Embedding,
    image_op::{self, ImageNetwork},
    kernels::{Buffer, DepthwiseGlobal, Fuse, Isa, Map, Product, Rows, padded},
    layers::{
        Act, BlockShape, FaceStem, Image, Images, InvertedResidual, Loaded, depthwise_global, pointwise, pointwise_map,
    },
    manifest::MatchDefaults,
};
use domain::ModelId;
use error::{Error, Result};

/// Numbers in a vector.
pub(super) const DIMENSION: usize = 512;

/// Channels in, between and out, and the stride, of each block.
pub(super) const BLOCKS: [(usize, usize, usize, usize); 15] = [
    (64, 128, 64, 2),
    (64, 128, 64, 1),
    (64, 128, 64, 1),
    (64, 128, 64, 1),
    (64, 128, 64, 1),
    (64, 256, 128, 2),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
    (128, 512, 128, 2),
    (128, 256, 128, 1),
    (128, 256, 128, 1),
];

/// The face-embedding network with what belongs to its vectors.
#[derive(Debug)]
pub struct MobileFaceNet {
    weights: MobileFaceNetWeights,
    id: ModelId,
    defaults: MatchDefaults,
    blur_direction: Option<Vec<f32>>,
}

/// The layers.
#[derive(Debug)]
pub(super) struct MobileFaceNetWeights {
    stem: FaceStem,
    blocks: Vec<InvertedResidual>,
    head: Product,
    global: DepthwiseGlobal,
    embed: Product,
}

impl MobileFaceNet {
    /// Sides of the aligned face in pixels.
    pub const SIDE_PX: usize = 112;

    /// Its layers with what the manifest says of their vectors, and the blur direction to be removed from these.
    pub(super) fn new(
        weights: MobileFaceNetWeights,
        name: &str,
        defaults: MatchDefaults,
        blur_direction: Option<Vec<f32>>,
    ) -> Self {
        let id = ModelId { name: name.into(), dimension: DIMENSION as u32, postprocessing: defaults.postprocessing };
        Self { weights, id, defaults, blur_direction }
    }

    /// What its vectors are to be compared with: only vectors of the same id.
    pub const fn model_id(&self) -> &ModelId {
        &self.id
    }

    /// The thresholds that belong to its vectors.
    pub const fn defaults(&self) -> MatchDefaults {
        self.defaults
    }

    /// The unit vector that [`Self::embed`] removes; see [`super::blur`].
    pub fn blur_direction(&self) -> Option<&[f32]> {
        self.blur_direction.as_deref()
    }

    /// Raw vectors `[N, 512]` of aligned faces `[N, 112, 112, 3]`: BGR, (v − 127.5) / 128.
    ///
    /// # Errors
    /// `internal` for a tensor of another shape.
    pub fn forward(&self, faces: &Tensor) -> Result<Tensor> {
        image_op::forward(&self.weights, faces)
    }

    /// The vectors of aligned faces, as [`Self::forward`] takes them.
    ///
    /// # Errors
    /// As for [`Self::forward`].
    pub fn embed(&self, faces: &Tensor) -> Result<Vec<Embedding>> {
        let raw = self.forward(faces)?.flatten_all().and_then(|raw| raw.to_vec1::<f32>());
        let raw =
            raw.map_err(|error| Error::internal("MobileFaceNet: the output cannot be read").with_source(error))?;
        Ok(raw.chunks_exact(DIMENSION).map(|raw| Embedding::new(raw, self.blur_direction())).collect())
    }
}

impl MobileFaceNetWeights {
    /// Reads and packs the weights.
    pub(super) fn load(isa: Isa, vb: &VarBuilder<'_>) -> Loaded<Self> {
        // The first block and the last layers stay in f32, whatever the other products are in: there rounding costs most
        // accuracy and saves least time.
        let exact = isa.with_f32_products();
        let block = |(index, &(inputs, hidden, outputs, stride)): (usize, &(usize, usize, usize, usize))| {
            let shape = BlockShape { inputs, hidden, outputs, stride, gated: false };
            InvertedResidual::load(if index == 0 { exact } else { isa }, shape, &vb.pp("blocks").pp(index))
        };
        Ok(Self {
            stem: FaceStem::load(isa, 64, vb)?,
            blocks: BLOCKS.iter().enumerate().map(block).collect::<Loaded<_>>()?,
            head: pointwise(exact, 128, DIMENSION, Act::PRelu, &vb.pp("head"))?,
            global: depthwise_global(isa, MobileFaceNet::SIDE_PX / 16, DIMENSION, &vb.pp("global"))?,
            embed: pointwise(exact, DIMENSION, DIMENSION, Act::Identity, &vb.pp("embed"))?,
        })
    }

    fn features(&self, face: Image<'_>) -> Map {
        let mut map = self.stem.forward(face);
        for block in &self.blocks {
            map = block.forward(&map);
        }
        pointwise_map(&self.head, &map)
    }
}

impl ImageNetwork for MobileFaceNetWeights {
    const NAME: &'static str = "MobileFaceNet";
    const SIDE: Option<usize> = Some(MobileFaceNet::SIDE_PX);

    fn output_shape(&self, count: usize, _height: usize, _width: usize) -> Shape {
        (count, DIMENSION).into()
    }

    fn run(&self, faces: Images<'_>, output: &mut [f32]) {
        let width = padded(DIMENSION);
        let mut pooled = Buffer::take(faces.count * width);
        for (face, pooled) in faces.iter().zip(pooled.chunks_exact_mut(width)) {
            self.global.run(self.features(face).pixels(), pooled);
        }
        // All faces at once: the last layer has a fifth of all weights, which are then read once.
        self.embed.run(Rows::pixels(&pooled, width, DIMENSION), faces.count, output, DIMENSION, Fuse::Store);
    }
}
