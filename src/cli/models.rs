//! `rollcall models`: weights in, weights checked.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::say;
use crate::{
    error::Result,
    nn::{Arch, Networks, Precision, Verified, blur, import::import, verify, verify_embedded},
};

#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    what: Models,
}

#[derive(Debug, Subcommand)]
enum Models {
    /// Converts a published ONNX file to the safetensors that this program reads.
    Import {
        /// yunet, mobilefacenet, minifasnet or headpose.
        #[arg(long)]
        arch: Arch,
        /// The folder to write ARCH.safetensors into.
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
        /// The ONNX file.
        #[arg(value_name = "FILE.onnx")]
        onnx: PathBuf,
    },
    /// Checks hashes, shapes and each network's answer to a known input.
    Verify {
        /// A folder with MANIFEST.toml and weights [default: those compiled in].
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Estimates the direction that all blurred faces share, from aligned sharp faces.
    BlurDirection {
        /// A folder of aligned 112×112 faces as PNG.
        #[arg(value_name = "DIR")]
        faces: PathBuf,
        /// The safetensors file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The folder of the embedding network [default: that compiled in].
        #[arg(long, value_name = "DIR")]
        models: Option<PathBuf>,
    },
}

pub(super) fn run(args: &ModelsArgs) -> Result<()> {
    match &args.what {
        Models::Import { arch, out, onnx } => {
            let imported = import(*arch, onnx, out)?;
            say(format_args!("{}: {} tensors", imported.file.display(), imported.tensors))?;
            say(format_args!("sha256 {}\nsha256 of the source {}", imported.sha256, imported.source_sha256))
        }
        Models::Verify { dir } => {
            for Verified { arch, max_difference } in dir.as_deref().map_or_else(verify_embedded, verify)? {
                say(format_args!("{}: right, within {max_difference:.1e} of ONNX Runtime", arch.name()))?;
            }
            Ok(())
        }
        Models::BlurDirection { faces, out, models } => {
            let networks = Networks::load(models.as_deref(), Precision::F32)?;
            blur::estimate_from_files(&networks.embedder, faces, out)?;
            say(out.display())
        }
    }
}
