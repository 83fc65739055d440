use prost::Message;

use super::{
    architectures::tensors,
    onnx::{AttributeProto, FLOAT, Graph, GraphProto, ModelProto, NodeProto, TensorProto},
    *,
};

/// A graph that is put together node by node.
#[derive(Clone, Default)]
struct Model(GraphProto);

impl Model {
    /// Adds a node whose weights have these shapes, and whose numbers are all one.
    fn node(&mut self, op_type: &str, weights: &[&[i64]], attributes: &[(&str, i64)]) {
        let number = self.0.node.len();
        let mut input = vec![format!("of {}", number.saturating_sub(1))];
        for (index, &dims) in weights.iter().enumerate() {
            let name = format!("{number}.{index}");
            let numbers = dims.iter().product::<i64>() as usize;
            let tensor = TensorProto {
                dims: dims.into(),
                data_type: FLOAT,
                float_data: vec![1.0; numbers],
                ..Default::default()
            };
            self.0.initializer.push(TensorProto { name: name.clone(), ..tensor });
            input.push(name);
        }
        let attribute = attributes.iter().map(|&(name, i)| AttributeProto {
            name: name.into(),
            i,
            ints: vec![i],
            ..Default::default()
        });
        let output = vec![format!("of {number}")];
        self.0.node.push(NodeProto { input, output, op_type: op_type.into(), attribute: attribute.collect() });
    }

    fn bytes(&self) -> Vec<u8> {
        ModelProto { graph: Some(self.0.clone()) }.encode_to_vec()
    }

    fn read(&self, arch: Arch) -> Result<Vec<(String, Weight)>> {
        tensors(arch, &Graph::decode(&self.bytes())?)
    }
}

/// The smallest graph of an architecture: convolutions of single numbers, each of the first kind that is taken for it.
fn smallest(arch: Arch) -> Model {
    let mut model = Model::default();
    loop {
        let missing = |model: &Model| model.read(arch).err().map(|error| error.message().to_owned());
        let Some(wanted) = missing(&model).filter(|message| message.starts_with("there is no convolution")) else {
            break;
        };
        let kinds = [(1, 1), (2, 1), (2, 2)].into_iter().flat_map(|kind| [(kind, false), (kind, true)]);
        let longer = kinds.map(|((groups, stride), is_activated)| {
            let mut longer = model.clone();
            let inputs = if groups == 1 { 2 } else { 1 };
            longer.node("Conv", &[&[1, inputs, 1, 1], &[1]], &[("group", groups), ("strides", stride)]);
            if is_activated {
                longer.node("PRelu", &[&[1]], &[]);
            }
            longer
        });
        let is_taken =
            |model: &Model| missing(model).is_none_or(|message| message != wanted && !message.contains("another kind"));
        model = longer.into_iter().find(is_taken).unwrap_or_else(|| panic!("{wanted}"));
    }
    match arch {
        Arch::MiniFasNet => {
            model.node("MatMul", &[&[1, 1]], &[]);
            model.node("BatchNormalization", &[&[1], &[1], &[1], &[1]], &[]);
            model.node("MatMul", &[&[1, 3]], &[]);
        }
        Arch::HeadPose => (0..3).for_each(|_| model.node("Gemm", &[&[2, 1], &[2]], &[("transB", 1)])),
        Arch::Yunet | Arch::MobileFaceNet => {}
    }
    model
}

#[test]
fn a_graph_of_the_right_nodes_is_taken_whatever_the_sizes_of_its_weights() {
    for arch in Arch::ALL {
        let named = smallest(arch).read(arch).unwrap();
        assert!(
            named.iter().all(|(_, weight)| weight.shape.iter().product::<usize>() == weight.values.len()),
            "{arch:?}"
        );
    }
}

#[test]
fn a_weight_whose_shape_is_not_that_of_its_numbers_is_refused() {
    let whole = smallest(Arch::MobileFaceNet);
    // Of the last the product wraps around to as many numbers as there are.
    for dims in [vec![2, 1, 1, 1], vec![-2, 1, 1, 1], vec![0, 1 << 40, 1 << 20, 1], vec![1 << 32, 1 << 32, 1, 1]] {
        let mut model = whole.clone();
        let weight = &mut model.0.initializer[0];
        weight.float_data.truncate(usize::from(dims[0] == 2));
        weight.dims = dims;
        assert!(model.read(Arch::MobileFaceNet).unwrap_err().message().contains("not whole f32 numbers"));
    }
}

#[test]
fn a_batch_norm_of_nothing_and_classes_on_one_axis_are_refused() {
    let whole = smallest(Arch::MiniFasNet);
    let (nodes, weights) = (whole.0.node.len(), whole.0.initializer.len());
    let mut flat = whole.clone();
    flat.0.initializer[weights - 1].dims = vec![3];
    assert!(flat.read(Arch::MiniFasNet).unwrap_err().message().contains("two axes"));
    let mut empty = whole.clone();
    for name in [format!("{}.0", nodes - 3), format!("{}.0", nodes - 2)] {
        let weight = empty.0.initializer.iter_mut().find(|weight| weight.name == name).unwrap();
        (weight.dims, weight.float_data) = (vec![1, 0], Vec::new());
    }
    assert!(empty.read(Arch::MiniFasNet).unwrap_err().message().contains("not whole f32 numbers"));
}
