//! Persons, and all that is kept of them.

pub(super) mod consent;
pub(super) mod negatives;
pub(super) mod person;
