//! The networks: one file an architecture, on candle's tensors and this crate's kernels.
//!
//! [`Networks`] is immutable once loaded and shared by all threads; a forward pass uses one thread and, after a
//! thread's first, scratch memory that the thread keeps.

mod arch;
pub mod blur;
mod embedding;
mod flow;
mod headpose;
mod image_op;
pub mod import;
pub mod kernels;
mod layers;
mod manifest;
mod minifasnet;
mod mobilefacenet;
mod precision;
mod verify;
mod weights;
mod yunet;

use std::{borrow::Cow, path::Path};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

pub use arch::Arch;
pub use embedding::Embedding;
pub use headpose::HeadPoseNet;
pub use manifest::{BlurFile, Manifest, MatchDefaults, ModelEntry, Source};
pub use minifasnet::MiniFasNet;
pub use mobilefacenet::MobileFaceNet;
pub use precision::Precision;
pub use verify::{Verified, verify, verify_embedded};
pub use yunet::{Yunet, YunetLevel, YunetOutput};

use self::{kernels::Isa, layers::Loaded, mobilefacenet::MobileFaceNetWeights, weights::Folder};
use error::{Error, Result};

/// All networks that the pipeline runs.
#[derive(Debug)]
pub struct Networks {
    /// Finds faces.
    pub detector: Yunet,
    /// Makes vectors of aligned faces.
    pub embedder: MobileFaceNet,
    /// Tells living faces from pictures of faces.
    pub liveness: MiniFasNet,
    /// Estimates how a head is turned.
    pub head_pose: HeadPoseNet,
}

impl Networks {
    /// The weights that are compiled into the program, in f32.
    ///
    /// # Errors
    /// `invalid` when [`kernels::isa::ISA_VARIABLE`] asks for what the processor lacks.
    pub fn embedded() -> Result<Self> {
        Self::load(None, Precision::F32)
    }

    /// The weights of a folder with a MANIFEST.toml, or those compiled in; the embedder multiplies in
    /// `embedder_precision`.
    ///
    /// # Errors
    /// `invalid` when the processor lacks what was asked for; with code `bad_model`, naming the file, when one is
    /// missing, has not the manifest's hash, or lacks a weight or has one of another shape.
    pub fn load(models_dir: Option<&Path>, embedder_precision: Precision) -> Result<Self> {
        let folder = models_dir.map_or(Folder::Embedded, |dir| Folder::Disk(dir.to_owned()));
        let manifest = folder.manifest()?;
        let isa = Isa::chosen()?;
        Ok(Self {
            detector: network(&folder, isa, manifest.entry(Arch::Yunet)?, Yunet::load)?,
            embedder: embedder(&folder, embedder_precision.products(isa)?, &manifest)?,
            liveness: network(&folder, isa, manifest.entry(Arch::MiniFasNet)?, MiniFasNet::load)?,
            head_pose: network(&folder, isa, manifest.entry(Arch::HeadPose)?, HeadPoseNet::load)?,
        })
    }

    /// One forward pass of each network, so that the first photo pays for nothing.
    ///
    /// # Errors
    /// `internal` when a network does not run.
    pub fn warm_up(&self) -> Result<()> {
        let zeros = |height, width| {
            Tensor::zeros((1, height, width, 3), DType::F32, &Device::Cpu)
                .map_err(|error| Error::internal("no memory to warm up").with_source(error))
        };
        self.detector.forward(&zeros(Yunet::MULTIPLE_PX, Yunet::MULTIPLE_PX)?)?;
        self.embedder.forward(&zeros(MobileFaceNet::SIDE_PX, MobileFaceNet::SIDE_PX)?)?;
        self.liveness.forward(&zeros(MiniFasNet::SIDE_PX, MiniFasNet::SIDE_PX)?)?;
        self.head_pose.forward(&zeros(HeadPoseNet::SIDE_PX, HeadPoseNet::SIDE_PX)?)?;
        Ok(())
    }
}

fn network<N>(
    folder: &Folder,
    isa: Isa,
    entry: &ModelEntry,
    load: impl FnOnce(Isa, &VarBuilder<'_>) -> Loaded<N>,
) -> Result<N> {
    let bytes: Cow<'_, [u8]> = folder.read(&entry.file, &entry.sha256)?;
    weights::load(&entry.file, &bytes, |weights| load(isa, weights))
}

fn embedder(folder: &Folder, isa: Isa, manifest: &Manifest) -> Result<MobileFaceNet> {
    let entry = manifest.entry(Arch::MobileFaceNet)?;
    let defaults = entry.matching.ok_or_else(|| {
        weights::bad_model(format!("{}: {} has no [model.matching]", manifest::FILE_NAME, entry.arch.name()))
    })?;
    if defaults.dimension as usize != mobilefacenet::DIMENSION {
        let reason =
            format!("{}: {} makes vectors of {} numbers", entry.file, entry.arch.name(), mobilefacenet::DIMENSION);
        return Err(weights::bad_model(reason));
    }
    let blur_direction = match &entry.blur_direction {
        Some(BlurFile { file, sha256 }) => {
            Some(blur::load(file, &folder.read(file, sha256)?, mobilefacenet::DIMENSION)?)
        }
        None => None,
    };
    let layers = network(folder, isa, entry, MobileFaceNetWeights::load)?;
    Ok(MobileFaceNet::new(layers, &entry.name, defaults, blur_direction))
}

#[cfg(test)]
mod tests;
