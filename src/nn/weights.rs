//! Weight files: where they lie, their hashes, and the way from bytes to a loaded network.

use std::{borrow::Cow, path::PathBuf};

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use sha2::{Digest, Sha256};

use super::{
    HeadPoseNet, MiniFasNet, Yunet,
    arch::Arch,
    kernels::Isa,
    layers::Loaded,
    manifest::{self, Manifest},
    mobilefacenet::MobileFaceNetWeights,
};
use error::{Error, Result};

/// Where weights lie.
#[derive(Debug)]
pub(super) enum Folder {
    /// Compiled into the program, so that one file runs from anywhere.
    Embedded,
    /// A folder laid out like this repository's `models/`.
    Disk(PathBuf),
}

/// The repository's `models/`, compiled in.
const EMBEDDED: [(&str, &[u8]); 6] = [
    (manifest::FILE_NAME, include_bytes!("../../models/MANIFEST.toml")),
    ("yunet.safetensors", include_bytes!("../../models/yunet.safetensors")),
    ("mobilefacenet.safetensors", include_bytes!("../../models/mobilefacenet.safetensors")),
    ("blur_direction.safetensors", include_bytes!("../../models/blur_direction.safetensors")),
    ("minifasnet.safetensors", include_bytes!("../../models/minifasnet.safetensors")),
    ("headpose.safetensors", include_bytes!("../../models/headpose.safetensors")),
];

impl Folder {
    /// Its table of contents.
    pub(super) fn manifest(&self) -> Result<Manifest> {
        let bytes = self.bytes(manifest::FILE_NAME)?;
        Manifest::parse(&String::from_utf8_lossy(&bytes))
    }

    /// A file whose hash is as the manifest says.
    pub(super) fn read(&self, file: &str, sha256: &str) -> Result<Cow<'static, [u8]>> {
        let bytes = self.bytes(file)?;
        let found = sha256_hex(&bytes);
        if found == sha256 {
            Ok(bytes)
        } else {
            Err(bad_model(format!("{file}: its SHA-256 is {found}, not {sha256} as {} says", manifest::FILE_NAME)))
        }
    }

    fn bytes(&self, file: &str) -> Result<Cow<'static, [u8]>> {
        match self {
            Self::Embedded => {
                let entry = EMBEDDED.iter().find(|(name, _)| *name == file);
                entry
                    .map(|(_, bytes)| Cow::Borrowed(*bytes))
                    .ok_or_else(|| bad_model(format!("{file}: not compiled in")))
            }
            Self::Disk(folder) => std::fs::read(folder.join(file))
                .map(Cow::Owned)
                .map_err(|error| bad_model(format!("{file}: cannot be read")).with_source(error)),
        }
    }
}

/// A model file or manifest that is not what it should be; `reason` names it.
pub(super) fn bad_model(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::invalid(reason).with_code("bad_model")
}

/// SHA-256 in hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Loads a network from a safetensors file's bytes.
///
/// # Errors
/// `invalid` with code `bad_model`: `file`, and whether it is damaged or lacks a weight or has one of another shape.
pub(super) fn load<N>(file: &str, bytes: &[u8], network: impl FnOnce(&VarBuilder<'_>) -> Loaded<N>) -> Result<N> {
    let bad = |reason: &str, error: candle_core::Error| bad_model(format!("{file}: {reason}")).with_source(error);
    let weights = VarBuilder::from_slice_safetensors(bytes, DType::F32, &Device::Cpu)
        .map_err(|error| bad("not a whole safetensors file", error))?;
    network(&weights).map_err(|error| bad("not the weights of this architecture", error))
}

/// Whether `bytes` hold all weights of `arch` in their shapes.
pub(super) fn check_architecture(arch: Arch, bytes: &[u8]) -> Result<()> {
    let (file, isa) = (arch.file_name(), Isa::chosen()?);
    load(file, bytes, |weights| match arch {
        Arch::Yunet => Yunet::load(isa, weights).map(drop),
        Arch::MobileFaceNet => MobileFaceNetWeights::load(isa, weights).map(drop),
        Arch::MiniFasNet => MiniFasNet::load(isa, weights).map(drop),
        Arch::HeadPose => HeadPoseNet::load(isa, weights).map(drop),
    })
}
