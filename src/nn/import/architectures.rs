//! The order of each architecture's convolutions in its published graph.

use super::{
    Namer, Slope,
    onnx::{Graph, Weight},
};
use crate::{arch::Arch, headpose, minifasnet, mobilefacenet, weights::bad_model, yunet};
use error::Result;

type Tensors = Vec<(String, Weight)>;

/// The named weights of `graph` read as `arch`.
pub(super) fn tensors(arch: Arch, graph: &Graph) -> Result<Tensors> {
    match arch {
        Arch::Yunet => yunet(graph),
        Arch::MobileFaceNet => mobilefacenet(graph),
        Arch::MiniFasNet => minifasnet(graph),
        Arch::HeadPose => headpose(graph),
    }
}

fn face_blocks(namer: &mut Namer<'_>, blocks: impl Iterator<Item = (usize, bool)>) -> Result<()> {
    namer.dense("stem", Slope::PRelu)?;
    namer.depthwise("stem_depthwise", Slope::PRelu, 1)?;
    for (index, (stride, gated)) in blocks.enumerate() {
        let block = format!("blocks.{index}");
        namer.dense(&format!("{block}.expand"), Slope::PRelu)?;
        namer.depthwise(&format!("{block}.depthwise"), Slope::PRelu, stride as i64)?;
        namer.dense(&format!("{block}.project"), Slope::None)?;
        if gated {
            namer.dense(&format!("{block}.squeeze_excite.reduce"), Slope::None)?;
            namer.dense(&format!("{block}.squeeze_excite.expand"), Slope::None)?;
        }
    }
    namer.dense("head", Slope::PRelu)?;
    namer.depthwise("global", Slope::None, 1)
}

fn mobilefacenet(graph: &Graph) -> Result<Tensors> {
    let mut namer = Namer::new(graph);
    face_blocks(&mut namer, mobilefacenet::BLOCKS.iter().map(|&(.., stride)| (stride, false)))?;
    namer.dense("embed", Slope::None)?;
    namer.finish()
}

/// The last batch norm stands between two products without biases; it is folded into the first.
fn minifasnet(graph: &Graph) -> Result<Tensors> {
    let mut namer = Namer::new(graph);
    face_blocks(&mut namer, minifasnet::BLOCKS.iter().map(|&(.., stride, gated)| (stride, gated)))?;
    let mut tensors = namer.finish()?;

    let products: Vec<_> = graph.nodes("MatMul").collect();
    let norm = graph.nodes("BatchNormalization").next();
    let ([neck, classes], Some(norm)) = (products.as_slice(), norm) else {
        return Err(bad_model("it has not two products with a batch norm between them"));
    };
    let (mut weight, classes) = (neck.weight(1)?, classes.weight(1)?);
    let &[_, num_classes] = classes.shape.as_slice() else {
        return Err(bad_model("the product of the classes has not two axes"));
    };
    let [scale, shift, mean, variance] = [norm.weight(1)?, norm.weight(2)?, norm.weight(3)?, norm.weight(4)?];
    let width = scale.values.len();
    if weight.shape.get(1) != Some(&width) || [&shift, &mean, &variance].iter().any(|w| w.values.len() != width) {
        return Err(bad_model("the batch norm does not fit its product"));
    }
    let epsilon = norm.float("epsilon", 1e-5);
    let factors: Vec<f32> = scale
        .values
        .iter()
        .zip(&variance.values)
        .map(|(scale, variance)| scale / (variance + epsilon).sqrt())
        .collect();
    for row in weight.values.chunks_exact_mut(width) {
        row.iter_mut().zip(&factors).for_each(|(value, factor)| *value *= factor);
    }
    let bias = shift
        .values
        .iter()
        .zip(&mean.values)
        .zip(&factors)
        .map(|((shift, mean), factor)| shift - mean * factor)
        .collect();
    let no_bias = Weight { shape: vec![num_classes], values: vec![0.0; num_classes] };
    tensors.push(("neck.weight".into(), weight));
    tensors.push(("neck.bias".into(), Weight { shape: vec![width], values: bias }));
    tensors.push(("classes.weight".into(), classes));
    tensors.push(("classes.bias".into(), no_bias));
    Ok(tensors)
}

fn headpose(graph: &Graph) -> Result<Tensors> {
    let mut namer = Namer::new(graph);
    namer.dense("stem", Slope::None)?;
    for (stage, (_, units)) in headpose::STAGES.into_iter().enumerate() {
        namer.depthwise(&format!("stages.{stage}.left.depthwise"), Slope::None, 2)?;
        namer.dense(&format!("stages.{stage}.left.project"), Slope::None)?;
        for unit in 0..units {
            let stride = if unit == 0 { 2 } else { 1 };
            let unit = format!("stages.{stage}.units.{unit}");
            namer.dense(&format!("{unit}.expand"), Slope::None)?;
            namer.depthwise(&format!("{unit}.depthwise"), Slope::None, stride)?;
            namer.dense(&format!("{unit}.project"), Slope::None)?;
        }
    }
    namer.dense("head", Slope::None)?;
    let mut tensors = namer.finish()?;

    // Yaw, pitch and roll become one product.
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    for node in graph.nodes("Gemm") {
        if node.int("transB", 0) != 1 {
            return Err(bad_model("an angle's product is of another kind"));
        }
        weights.push(transposed(&node.weight(1)?)?);
        biases.push(node.weight(2)?);
    }
    tensors.push(("bins.weight".into(), side_by_side(&weights)?));
    tensors.push(("bins.bias".into(), side_by_side(&biases)?));
    Ok(tensors)
}

/// Each level's four heads become one unit: class, object, box, landmarks.
fn yunet(graph: &Graph) -> Result<Tensors> {
    fn unit(namer: &mut Namer<'_>, name: &str) -> Result<()> {
        namer.dense(&format!("{name}.pointwise"), Slope::None)?;
        namer.depthwise(&format!("{name}.depthwise"), Slope::None, 1)
    }
    const HEADS: [&str; 4] = ["class", "object", "box", "landmarks"];
    const GRAPH_ORDER: [&str; 4] = ["class", "box", "object", "landmarks"];

    let mut namer = Namer::new(graph);
    namer.dense("stem", Slope::None)?;
    unit(&mut namer, "stem_unit")?;
    for index in 0..yunet::BACKBONE.len() {
        unit(&mut namer, &format!("backbone.{index}"))?;
    }
    for level in (0..yunet::STRIDES_PX.len()).rev() {
        unit(&mut namer, &format!("laterals.{level}"))?;
    }
    let heads_start = namer.tensors.len();
    for head in GRAPH_ORDER {
        for level in 0..yunet::STRIDES_PX.len() {
            unit(&mut namer, &format!("{head}.{level}"))?;
        }
    }
    let mut tensors = namer.finish()?;
    let heads: std::collections::HashMap<_, _> = tensors.split_off(heads_start).into_iter().collect();
    for level in 0..yunet::STRIDES_PX.len() {
        for part in ["pointwise.weight", "pointwise.bias", "depthwise.weight", "depthwise.bias"] {
            let parts: Vec<_> =
                HEADS.iter().filter_map(|head| heads.get(&format!("{head}.{level}.{part}")).cloned()).collect();
            tensors.push((format!("heads.{level}.{part}"), side_by_side(&parts)?));
        }
    }
    Ok(tensors)
}

fn transposed(weight: &Weight) -> Result<Weight> {
    let &[rows, columns] = weight.shape.as_slice() else {
        return Err(bad_model("a product's weight has not two axes"));
    };
    let values = (0..columns).flat_map(|c| (0..rows).map(move |r| weight.values[r * columns + c])).collect();
    Ok(Weight { shape: vec![columns, rows], values })
}

/// Joins weights along their last axis.
fn side_by_side(weights: &[Weight]) -> Result<Weight> {
    let outer = |weight: &Weight| weight.shape.split_last().map(|(last, outer)| (*last, outer.to_vec()));
    let Some((_, axes)) = weights.first().and_then(outer) else {
        return Err(bad_model("a head is missing"));
    };
    let mut total = 0;
    for weight in weights {
        match outer(weight) {
            Some((last, own)) if own == axes && last > 0 => total += last,
            _ => return Err(bad_model("the heads do not fit together")),
        }
    }
    let rows: usize = axes.iter().product();
    let mut values = Vec::with_capacity(rows * total);
    for row in 0..rows {
        for weight in weights {
            let width = weight.values.len() / rows;
            values.extend_from_slice(&weight.values[row * width..(row + 1) * width]);
        }
    }
    Ok(Weight { shape: axes.into_iter().chain([total]).collect(), values })
}
