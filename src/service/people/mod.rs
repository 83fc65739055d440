//! Persons, and all that is kept of them.

pub mod consent;
pub mod duplicates;
pub mod enrol;
pub mod export;
pub mod import;
pub mod merge;
pub mod negatives;
pub mod person;
pub mod photos;
