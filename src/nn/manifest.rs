//! MANIFEST.toml: what each weight file is, where it comes from, and the defaults that belong to a model.

use serde::Deserialize;

use super::arch::Arch;
use error::{Error, Result};

/// The manifest's name in a models folder.
pub(super) const FILE_NAME: &str = "MANIFEST.toml";

/// A models folder's table of contents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One entry an architecture.
    pub model: Vec<ModelEntry>,
}

/// One weight file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// What runs it.
    pub arch: Arch,
    /// Name and version of the network, as samples carry it.
    pub name: String,
    /// File in the folder.
    pub file: String,
    /// SHA-256 of the file in hex.
    pub sha256: String,
    /// What goes in, in words.
    pub input: String,
    /// What comes out, in words.
    pub output: String,
    /// SPDX identifier.
    pub licence: String,
    /// Where it was taken from.
    pub source: Source,
    /// Only for face embeddings.
    pub matching: Option<MatchDefaults>,
    /// Only for face embeddings: the direction that is removed from every vector (see [`super::blur`]).
    pub blur_direction: Option<BlurFile>,
}

/// The published package that a model was taken from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `pypi` or `npm`.
    pub registry: String,
    /// Package.
    pub package: String,
    /// Version.
    pub version: String,
    /// ONNX file in the package.
    pub path: String,
    /// SHA-256 of the ONNX file in hex.
    pub sha256: String,
}

/// The file of a blur direction.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlurFile {
    /// File in the folder.
    pub file: String,
    /// SHA-256 of the file in hex.
    pub sha256: String,
}

/// What a face-embedding model wants of the faces and similarities that it names people by.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchDefaults {
    /// Least raw cosine to name a person of a roster.
    pub roster_threshold: f32,
    /// Least raw cosine to name a person of the whole gallery.
    pub gallery_threshold: f32,
    /// Least lead over the next person.
    pub margin: f32,
    /// Least width of a face in pixels of the photo.
    pub min_width_px: f32,
    /// Least detection score.
    pub min_score: f32,
    /// Numbers in a vector.
    pub dimension: u32,
    /// Version of what is done to the raw output.
    pub postprocessing: u32,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// `invalid` with code `bad_model` when it cannot be read or lacks an architecture.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |reason: String| Error::invalid(format!("{FILE_NAME}: {reason}")).with_code("bad_model");
        let manifest: Self =
            toml::from_str(text).map_err(|error| bad("cannot be understood".into()).with_source(error))?;
        match Arch::ALL.into_iter().find(|&arch| manifest.model.iter().filter(|m| m.arch == arch).count() != 1) {
            Some(arch) => Err(bad(format!("must have exactly one model of architecture {}", arch.name()))),
            None => Ok(manifest),
        }
    }

    /// The entry of an architecture.
    ///
    /// # Errors
    /// As for [`Self::parse`], which makes sure that there is one.
    pub fn entry(&self, arch: Arch) -> Result<&ModelEntry> {
        let entry = self.model.iter().find(|model| model.arch == arch);
        entry.ok_or_else(|| Error::invalid(format!("{FILE_NAME}: no {}", arch.name())).with_code("bad_model"))
    }
}
