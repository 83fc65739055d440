//! Pixels: from bytes to upright photos, from photos to the networks' inputs, and back to pictures.
//!
//! Pure functions on the calling thread: no network, no actor, no file. Every step that feeds a network is held to
//! `OpenCV`'s result by golden tests, because the networks were measured behind `OpenCV`.

pub mod align;
pub mod annotate;
pub mod copy;
pub mod crops;
pub mod decode;
pub mod detector_input;
mod exif;
#[cfg(test)]
mod golden;
mod jpeg;
mod lanes;
pub mod looks;
pub mod nms;
pub mod orientation;
pub mod photo;
pub mod quality;
pub mod resize;
pub mod tiles;

pub use annotate::{Annotation, AnnotationKind, Fonts, annotate};
pub use decode::{DecodeLimits, PhotoFormat, PhotoHeader, decode, read_header, taken};
pub use photo::Photo;
