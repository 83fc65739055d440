//! Copying, checking and salvaging the whole store.

pub mod backup;
pub mod check;
pub mod salvage;
