//! Persons, and all that is kept of them.

pub mod consent;
pub mod duplicates;
pub mod enrol;
pub mod export;
pub mod import;
mod locks;
pub mod merge;
pub mod negatives;
pub mod person;
pub mod photos;

use std::sync::Arc;

use self::locks::Locks;
use super::recognition;
use crate::{galleries::Galleries, pipeline::Pipeline, runtime::Clock, store::Store, vault::Vault};

/// Locks for tenants, and for people.
const TENANT_LOCKS: usize = 64;
const PERSON_LOCKS: usize = 256;

/// People; cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    galleries: Galleries,
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    recognition: recognition::Service,
    /// Of tenants that refuse duplicates, to take somebody in.
    tenant_locks: Locks,
    /// Of people, to change their photos: files and the records that name them.
    people_locks: Locks,
    vault: Vault,
}

impl Service {
    /// Over the parts of recognition.
    pub(super) fn new(recognition: recognition::Service, vault: Vault) -> Self {
        let recognition::Service { store, galleries, pipeline, clock, .. } = recognition.clone();
        let (tenant_locks, people_locks) = (Locks::new(TENANT_LOCKS), Locks::new(PERSON_LOCKS));
        Self { store, galleries, pipeline, clock, recognition, tenant_locks, people_locks, vault }
    }
}
