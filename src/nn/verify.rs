//! Whether a models folder is whole and right: hashes, shapes, and each network's answer to a known input.
//!
//! The known inputs are 8-bit pixels, their answers ONNX Runtime's on the published models; both are compiled in.

use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};

use super::{Arch, Networks, Precision, weights::bad_model};
use error::{Error, Result};

/// Greatest difference that is allowed between any number and ONNX Runtime's.
const TOLERANCE: f32 = 1e-3;

/// A model that stood the check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified {
    /// Which.
    pub arch: Arch,
    /// Greatest absolute difference to ONNX Runtime's output.
    pub max_difference: f32,
}

/// Checks the files of a models folder.
///
/// # Errors
/// As for [`Networks::load`], and `bad_model` when a network answers otherwise than ONNX Runtime.
pub fn verify(models_dir: &Path) -> Result<Vec<Verified>> {
    check(&Networks::load(Some(models_dir), Precision::F32)?)
}

/// Checks the weights that are compiled in.
///
/// # Errors
/// As for [`verify`].
pub fn verify_embedded() -> Result<Vec<Verified>> {
    check(&Networks::embedded()?)
}

fn check(networks: &Networks) -> Result<Vec<Verified>> {
    Arch::ALL.into_iter().map(|arch| check_one(networks, arch)).collect()
}

fn check_one(networks: &Networks, arch: Arch) -> Result<Verified> {
    let unreadable = |error: candle_core::Error| {
        Error::internal(format!("{}: the known answer cannot be compared", arch.name())).with_source(error)
    };
    let golden = Golden::read(arch).map_err(unreadable)?;
    let answer = answer(networks, arch, &golden.input)?;
    let expected: Vec<f32> = golden.expected.flatten_all().and_then(|all| all.to_vec1()).map_err(unreadable)?;
    let difference = |(a, b): (&f32, &f32)| (a - b).abs();
    // Not f32::max: a NaN must show.
    let larger = |a: f32, b: f32| if b <= a { a } else { b };
    let max_difference = answer.iter().zip(&expected).map(difference).fold(0.0, larger);
    if answer.len() == expected.len() && max_difference <= TOLERANCE {
        Ok(Verified { arch, max_difference })
    } else {
        let reason = format!("{}: differs from ONNX Runtime by {max_difference} on a known input", arch.file_name());
        Err(bad_model(reason))
    }
}

/// A known input, as the network takes it, and the answer.
struct Golden {
    input: Tensor,
    expected: Tensor,
}

impl Golden {
    fn read(arch: Arch) -> candle_core::Result<Self> {
        let bytes: &[u8] = match arch {
            Arch::Yunet => include_bytes!("../../models/golden/yunet.safetensors"),
            Arch::MobileFaceNet => include_bytes!("../../models/golden/mobilefacenet.safetensors"),
            Arch::MiniFasNet => include_bytes!("../../models/golden/minifasnet.safetensors"),
            Arch::HeadPose => include_bytes!("../../models/golden/headpose.safetensors"),
        };
        let mut tensors = safetensors::load_buffer(bytes, &Device::Cpu)?;
        let mut take =
            |name: &str| tensors.remove(name).ok_or_else(|| candle_core::Error::msg(format!("no tensor {name}")));
        let pixels = take("pixels")?.to_dtype(DType::F32)?;
        let input = match arch {
            Arch::Yunet | Arch::MiniFasNet => pixels,
            Arch::MobileFaceNet => pixels.affine(1.0 / 128.0, -127.5 / 128.0)?,
            Arch::HeadPose => {
                let mean = Tensor::new(&[0.485f32, 0.456, 0.406], &Device::Cpu)?;
                let deviation = Tensor::new(&[0.229f32, 0.224, 0.225], &Device::Cpu)?;
                pixels.affine(1.0 / 255.0, 0.0)?.broadcast_sub(&mean)?.broadcast_div(&deviation)?
            }
        };
        Ok(Self { input, expected: take("expected")? })
    }
}

/// A network's answer, flat, in the golden file's terms.
fn answer(networks: &Networks, arch: Arch, input: &Tensor) -> Result<Vec<f32>> {
    Ok(match arch {
        Arch::Yunet => networks.detector.forward(input)?.probabilities(),
        Arch::MobileFaceNet => flat(&networks.embedder.forward(input)?)?,
        Arch::MiniFasNet => networks.liveness.forward(input)?.concat(),
        Arch::HeadPose => flat(&networks.head_pose.logits(input)?)?,
    })
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    let values = tensor.flatten_all().and_then(|tensor| tensor.to_vec1());
    values.map_err(|error| Error::internal("a network's output cannot be read").with_source(error))
}
