//! Faces, and whose they are.

pub mod assignment;
pub mod calibration;
pub mod decision;
pub mod face;
pub mod gallery;
pub mod hint;
pub mod liveness;
pub mod matching;
pub mod turned;
pub mod vector;
