//! The little of ONNX that the importer reads, as protobuf messages written out by hand: no protoc at build time.
//! Field numbers are those of onnx.proto3.

use prost::Message;

use crate::weights::bad_model;
use error::Result;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, tag = "2")]
    pub(super) f: f32,
    #[prost(int64, tag = "3")]
    pub(super) i: i64,
    #[prost(int64, repeated, tag = "8")]
    pub(super) ints: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub(super) float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

/// TensorProto.DataType.FLOAT.
pub(super) const FLOAT: i32 = 1;

/// A weight as the graph holds it.
#[derive(Debug, Clone)]
pub(super) struct Weight {
    /// Row-major.
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// A graph in the order of its nodes.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

/// One operation of a [`Graph`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    graph: &'a Graph,
    proto: &'a NodeProto,
}

impl Graph {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let model = ModelProto::decode(bytes)
            .map_err(|error| bad_model("not an ONNX file, or a truncated one").with_source(error))?;
        let graph = model.graph.ok_or_else(|| bad_model("the ONNX file has no graph"))?;
        Ok(Self { nodes: graph.node, initializers: graph.initializer })
    }

    /// The nodes of one kind, in order.
    pub(super) fn nodes<'a>(&'a self, op_type: &'a str) -> impl Iterator<Item = Node<'a>> {
        self.nodes.iter().filter(move |node| node.op_type == op_type).map(|proto| Node { graph: self, proto })
    }
}

impl<'a> Node<'a> {
    /// The weight among its inputs at `index`.
    pub(super) fn weight(&self, index: usize) -> Result<Weight> {
        let named = self.proto.input.get(index);
        let tensor = named.and_then(|name| self.graph.initializers.iter().find(|tensor| &tensor.name == name));
        let tensor = tensor.ok_or_else(|| bad_model(format!("a {} has no weight {index}", self.proto.op_type)))?;
        let values: Vec<f32> = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            let (words, _) = tensor.raw_data.as_chunks::<4>();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        };
        // No axis of a weight is empty: the product of others with it would say nothing of how long those are.
        let shape: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
        let numbers = shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
        if tensor.data_type != FLOAT || values.is_empty() || numbers != Some(values.len()) {
            return Err(bad_model(format!("the weight {} is not whole f32 numbers", tensor.name)));
        }
        Ok(Weight { shape, values })
    }

    /// The node of one kind that takes this one's result.
    pub(super) fn follower(&self, op_type: &str) -> Option<Node<'a>> {
        let result = self.proto.output.first()?;
        let takes = |node: &&NodeProto| node.op_type == op_type && node.input.contains(result);
        self.graph.nodes.iter().find(takes).map(|proto| Node { graph: self.graph, proto })
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// A whole-number attribute, or `default`.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// A number attribute, or `default`.
    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    /// The first of a list attribute, or `default`.
    pub(super) fn first_int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.ints.first().copied()).unwrap_or(default)
    }
}
