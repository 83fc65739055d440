//! Opening, copying, checking and rewriting the whole store.

pub(super) mod archive;
pub(super) mod backup;
pub(super) mod check;
pub(super) mod migrations;
pub(super) mod open;
pub(super) mod rewrite;
pub(super) mod sweep;
