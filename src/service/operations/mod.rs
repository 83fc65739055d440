//! Copying, checking and salvaging the whole store.

pub mod backup;
pub mod check;
pub mod salvage;

use std::{path::Path, sync::Arc};

use crate::{pipeline::Pipeline, runtime::Clock, store::Store, vault::Vault};

/// Operations on the whole store; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) pipeline: Pipeline,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) data: Arc<Path>,
    pub(super) vault: Vault,
}
