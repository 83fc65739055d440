//! Groups, when they meet, and who was there.

pub mod groups;
pub mod record;
pub mod register;
pub mod reports;
pub mod rosters;
pub mod sessions;
pub mod strangers;
pub mod timetables;

use std::{path::Path, sync::Arc};

use super::people;
use crate::{
    runtime::{Clock, Turnstile},
    store::Store,
};

/// Attendance; cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    clock: Arc<dyn Clock>,
    people: people::Service,
    /// Turns for making workbooks.
    workbooks: Arc<Turnstile>,
    /// The data folder, where workbooks are made.
    data: Arc<Path>,
}

impl Service {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>, people: people::Service, data: Arc<Path>) -> Self {
        Self { store, clock, people, workbooks: Turnstile::new(reports::WORKBOOKS_AT_ONCE), data }
    }
}
