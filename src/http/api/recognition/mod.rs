//! Who is in a photo, and how sure that is.

pub(super) mod gallery;
pub(super) mod recognize;
pub(super) mod reports;
