//! Who is in a photo, and how sure that is.

pub mod analyse;
pub mod calibration;
pub mod gallery;
pub mod recognize;
