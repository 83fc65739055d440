//! The use cases. They take a [`TenantScope`](crate::domain::TenantScope) and know no HTTP; every door (HTTP, the
//! command line) calls these, and their answers serialise to what every door shows.

pub mod access;
pub mod attendance;
pub mod events;
mod fields;
pub mod jobs;
pub mod operations;
pub mod people;
pub mod recognition;
pub mod view;
mod visit;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;

use self::{
    access::{Gate, quotas::QuotaKeeper},
    jobs::{JobDesk, JobOptions},
};
pub use self::{
    recognition::{Naming, RuleChanges},
    visit::Visit,
};
use crate::{
    config,
    domain::{Quotas, TenantScope, access::lifetimes::Lifetimes},
    error::{Error, Result},
    intake::Spool,
    pipeline::Pipeline,
    runtime::Clock,
    store::{Store, carried},
    vault::Vault,
};

/// All use cases over one store and one pipeline, a house each; cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Tenants, keys and users, what they may do, and what is written down of it.
    pub access: access::Service,
    /// Persons, and all that is kept of them.
    pub people: people::Service,
    /// Who is in a photo.
    pub recognition: recognition::Service,
    /// Groups, when they meet, and who was there.
    pub attendance: attendance::Service,
    /// What happened, and who is told.
    pub events: events::Service,
    /// Work that outlives its request.
    pub jobs: jobs::Service,
    /// The whole store: copied, checked, rewritten.
    pub operations: operations::Service,
    store: Store,
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
}

/// What the use cases go by.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// The rules of naming.
    pub naming: Naming,
    /// How much work a tenant may ask for, unless it has quotas of its own.
    pub quotas: Quotas,
    /// The folder where keys and photos have their files.
    pub data: PathBuf,
    /// How long tokens and logins last.
    pub lifetimes: Lifetimes,
    /// The log of events, and who listens.
    pub events: config::Events,
    /// Events sent to others.
    pub webhooks: config::Webhooks,
    /// What jobs go by.
    pub jobs: JobOptions,
}

impl Services {
    /// The use cases over these parts.
    ///
    /// # Errors
    /// `Storage` if the keys of the access tokens cannot be read or made.
    pub fn new(pipeline: Pipeline, clock: Arc<dyn Clock>, options: ServiceOptions) -> Result<Self> {
        let ServiceOptions { naming, quotas, data, lifetimes, events, webhooks, jobs } = options;
        let tools = pipeline.tools();
        let (store, galleries, metrics) = (tools.store.clone(), tools.galleries.clone(), tools.metrics.clone());
        let quotas = QuotaKeeper::new(quotas, store.clone(), Arc::clone(&clock), metrics.quota_refused.clone());
        let gate = Gate::open(&data, lifetimes, clock.now())?;
        let desk = JobDesk::new(Spool::of(&data, jobs.room), jobs);
        let (vault, data) = (Vault::of(&data), data.into());
        let recognition = recognition::Service {
            store: store.clone(),
            galleries,
            pipeline: pipeline.clone(),
            clock: Arc::clone(&clock),
            naming,
            quotas: quotas.clone(),
        };
        let people = people::Service::new(recognition.clone(), vault.clone());
        let events = events::Service::new(store.clone(), Arc::clone(&clock), metrics, (events, &webhooks))?;
        Ok(Self {
            access: access::Service {
                store: store.clone(),
                pipeline: pipeline.clone(),
                clock: Arc::clone(&clock),
                gate,
                quotas,
                desk: desk.clone(),
                data: Arc::clone(&data),
                vault: vault.clone(),
            },
            attendance: attendance::Service::new(store.clone(), Arc::clone(&clock), people.clone(), Arc::clone(&data)),
            jobs: jobs::Service {
                store: store.clone(),
                clock: Arc::clone(&clock),
                desk,
                people: people.clone(),
                recognition: recognition.clone(),
                events: events.clone(),
            },
            operations: operations::Service {
                store: store.clone(),
                pipeline: pipeline.clone(),
                clock: Arc::clone(&clock),
                data,
                vault,
            },
            people,
            recognition,
            events,
            store,
            pipeline,
            clock,
        })
    }

    /// The pipeline that serves them.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The store behind them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The visit of somebody at the machine itself to a tenant.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub async fn visit(&self, scope: &TenantScope) -> Result<Visit> {
        Visit::of_work(&self.store, &self.clock, scope).await
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The clock for what goes on after the call.
fn telling_time(clock: &Arc<dyn Clock>) -> impl Fn() -> Timestamp + Send + Sync + use<> {
    let clock = Arc::clone(clock);
    move || clock.now()
}

/// Carries a change to its end even if its caller goes away midway (a client that hangs up drops the handler):
/// otherwise files could stay whose records are gone, or a record could name a file that is not kept.
async fn to_completion<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(carried(change))
        .await
        .unwrap_or_else(|lost| Err(Error::internal("a change was cut short").with_source(lost)))
}
