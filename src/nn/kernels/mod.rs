//! The arithmetic of the networks: NHWC maps, one thread, SIMD chosen once at run time.
//!
//! Every map keeps its channels padded to a multiple of [`LANE_ALIGN`]; weights and biases of the padding are
//! zero, so no kernel has a channel tail. The results of the instruction sets agree within 1e-4.
//!
//! Shapes were settled when a layer was loaded: a kernel that is handed others panics, for that is a bug.
#![expect(unsafe_code, reason = "vectors are read and written by pointers")]
#![expect(clippy::missing_panics_doc, reason = "shapes are a contract with the layers, stated above")]

pub mod activation;
pub mod depthwise;
pub mod elementwise;
pub mod isa;
mod pairs;
pub mod pool;
pub mod product;
pub mod scratch;
pub mod simd;
#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use depthwise::{Depthwise3x3, DepthwiseGlobal};
pub use isa::Isa;
pub use pool::MaxPool;
pub use product::{Fuse, Product, Rows};
pub use scratch::{Buffer, Map};

/// Channels of a map are stored padded to a multiple of this: one AVX-512 vector.
pub const LANE_ALIGN: usize = 16;

/// The stored width of `channels`.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANE_ALIGN)
}
