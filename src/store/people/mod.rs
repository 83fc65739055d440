//! Persons, and all that is kept of them.

pub(super) mod consent;
pub(super) mod export;
pub(super) mod faces;
pub(super) mod import;
pub(super) mod merge;
pub(super) mod negatives;
pub(super) mod person;
pub(super) mod photos;
pub(super) mod pseudonyms;
pub(super) mod search;
