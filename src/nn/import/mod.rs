//! From the ONNX files that the models' authors publish to the named safetensors that the loaders read.
//!
//! The graphs name their weights by number; here each gets the name of its place in the module tree, its axes in
//! NHWC order (see [`super::layers`]) and batch norm folded. No weight is changed otherwise.

mod architectures;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod onnx;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};

use self::onnx::{Graph, Node, Weight};
use super::{
    arch::Arch,
    weights::{self, bad_model, sha256_hex},
};
use error::{Error, Result};

/// A file that [`import`] wrote.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Where.
    pub file: PathBuf,
    /// SHA-256 of the safetensors file, in hex.
    pub sha256: String,
    /// SHA-256 of the ONNX file, in hex.
    pub source_sha256: String,
    /// Tensors in it.
    pub tensors: usize,
}

/// Converts `onnx` into `out_dir`/`arch`.safetensors; the same input gives the same bytes.
///
/// # Errors
/// `invalid` with code `bad_model` when the file is not a whole ONNX file of that architecture.
pub fn import(arch: Arch, onnx: &Path, out_dir: &Path) -> Result<Imported> {
    let named = |error: Error| {
        let message = format!("{}: not a {} model: {}", onnx.display(), arch.name(), error.message());
        Error::invalid(message).with_code("bad_model").with_source(error)
    };
    let source = std::fs::read(onnx)
        .map_err(|error| Error::invalid(format!("{}: cannot be read", onnx.display())).with_source(error))?;
    let tensors = Graph::decode(&source).and_then(|graph| architectures::tensors(arch, &graph)).map_err(named)?;
    let mut named_tensors = HashMap::with_capacity(tensors.len());
    for (name, weight) in tensors {
        let tensor = Tensor::from_vec(weight.values, weight.shape, &Device::Cpu)
            .map_err(|error| Error::internal("a weight cannot be kept").with_source(error))?;
        named_tensors.insert(name, tensor);
    }
    let file = out_dir.join(arch.file_name());
    let unwritable = |error| Error::invalid(format!("{}: cannot be written", file.display())).with_source(error);
    candle_core::safetensors::save(&named_tensors, &file).map_err(unwritable)?;
    let bytes = std::fs::read(&file)
        .map_err(|error| Error::invalid(format!("{}: cannot be read", file.display())).with_source(error))?;
    weights::check_architecture(arch, &bytes).map_err(named)?;
    Ok(Imported { file, sha256: sha256_hex(&bytes), source_sha256: sha256_hex(&source), tensors: named_tensors.len() })
}

/// Where a convolution's activation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slope {
    None,
    PRelu,
}

/// Takes a graph's convolutions one after another and gives each its name.
struct Namer<'a> {
    convolutions: Box<dyn Iterator<Item = Node<'a>> + 'a>,
    tensors: Vec<(String, Weight)>,
}

impl<'a> Namer<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self { convolutions: Box::new(graph.nodes("Conv")), tensors: Vec::new() }
    }

    fn push(&mut self, module: &str, name: &str, weight: Weight) {
        self.tensors.push((format!("{module}.{name}"), weight));
    }

    fn next(&mut self, module: &str) -> Result<Node<'a>> {
        self.convolutions.next().ok_or_else(|| bad_model(format!("there is no convolution for {module}")))
    }

    /// The next convolution, dense or 1×1, is `module`.
    fn dense(&mut self, module: &str, slope: Slope) -> Result<()> {
        self.convolution(module, slope, 1, false)
    }

    /// The next convolution, depthwise, is `module`.
    fn depthwise(&mut self, module: &str, slope: Slope, stride: i64) -> Result<()> {
        self.convolution(module, slope, stride, true)
    }

    fn convolution(&mut self, module: &str, slope: Slope, stride: i64, depthwise: bool) -> Result<()> {
        let node = self.next(module)?;
        let (weight, bias) = (node.weight(1)?, node.weight(2)?);
        let is_depthwise = node.int("group", 1) > 1 || weight.shape.get(..2) == Some(&[1, 1]);
        if is_depthwise != depthwise || (depthwise && node.first_int("strides", 1) != stride) {
            return Err(bad_model(format!("the convolution at {module} is of another kind")));
        }
        self.push(module, "weight", channels_last(&weight, depthwise)?);
        self.push(module, "bias", bias);
        match (slope, node.follower("PRelu")) {
            (Slope::None, None) => {}
            (Slope::PRelu, Some(prelu)) => {
                let Weight { values, .. } = prelu.weight(1)?;
                self.push(module, "slope", Weight { shape: vec![values.len()], values });
            }
            _ => return Err(bad_model(format!("the activation at {module} is of another kind"))),
        }
        Ok(())
    }

    /// All named tensors, if every convolution got a name.
    fn finish(mut self) -> Result<Vec<(String, Weight)>> {
        match self.convolutions.next() {
            None => Ok(self.tensors),
            Some(_) => Err(bad_model("it has more convolutions than the architecture")),
        }
    }
}

/// `[out, in, h, w]` to `[h, w, in, out]`, without the axes that are 1 by nature.
fn channels_last(weight: &Weight, depthwise: bool) -> Result<Weight> {
    let &[outputs, inputs, height, width] = weight.shape.as_slice() else {
        return Err(bad_model("a convolution's weight has not four axes"));
    };
    let mut values = Vec::with_capacity(weight.values.len());
    for y in 0..height {
        for x in 0..width {
            for input in 0..inputs {
                values.extend(
                    (0..outputs).map(|output| weight.values[((output * inputs + input) * height + y) * width + x]),
                );
            }
        }
    }
    let shape = match (depthwise, height, width) {
        (true, ..) => vec![height, width, outputs],
        (false, 1, 1) => vec![inputs, outputs],
        (false, ..) => vec![height, width, inputs, outputs],
    };
    Ok(Weight { shape, values })
}

#[cfg(test)]
mod tests;
