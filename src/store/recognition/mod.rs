//! What a recognition goes by, and the indexes that can be made anew.

pub(super) mod look;
pub(super) mod snapshots;
