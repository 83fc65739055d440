//! The use cases. They take a [`TenantScope`](crate::domain::TenantScope) and know no HTTP; every door (HTTP, the
//! command line) calls these, and their answers serialise to what every door shows.

pub mod access;
pub mod attendance;
pub mod events;
mod fields;
pub mod jobs;
mod locks;
pub mod operations;
pub mod people;
pub mod recognition;
pub mod view;
mod visit;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

pub use self::visit::Visit;
use self::{
    access::{Gate, Lifetimes, quotas::QuotaKeeper},
    events::webhooks::Couriers,
    jobs::{JobDesk, JobOptions},
    locks::Locks,
};
use crate::{
    config,
    domain::{
        MatchingSettings, NamingRules, Quotas, TenantScope, TenantSettings, recognition::liveness::LivenessPolicy,
    },
    error::{Error, ErrorKind, Result},
    events::{Hub, Tickets},
    galleries::Galleries,
    intake::Spool,
    pipeline::{
        Pipeline,
        messages::{EncodedImage, PhotoReply},
        request::{FaceChoice, Wanted},
    },
    runtime::{Clock, ServiceClass, Turnstile},
    store::{Store, carried},
    vault::Vault,
};

/// Locks for tenants, and for people.
const TENANT_LOCKS: usize = 64;
const PERSON_LOCKS: usize = 256;

/// All use cases over one store and one pipeline; cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    galleries: Galleries,
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    naming: Naming,
    /// Of tenants that refuse duplicates, to take somebody in.
    tenant_locks: Locks,
    /// Of people, to change their photos: files and the records that name them.
    people_locks: Locks,
    gate: Arc<Gate>,
    quotas: QuotaKeeper,
    hub: Hub,
    tickets: Tickets,
    couriers: Couriers,
    event_settings: config::Events,
    desk: JobDesk,
    /// Turns for making workbooks.
    workbooks: Arc<Turnstile>,
    /// The data folder, where keys have their files.
    data: Arc<Path>,
    vault: Vault,
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

/// The rules of naming that apply where neither a request nor its tenant sets any.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// Within a roster.
    pub roster: NamingRules,
    /// In the whole gallery, where every face meets more strangers.
    pub gallery: NamingRules,
}

impl Naming {
    /// The rules with a tenant's own. Two people look like one where the one would be named as the other.
    fn with(self, own: MatchingSettings) -> Self {
        let margin = own.margin;
        let one_look = own.gallery_threshold.unwrap_or(self.gallery.threshold);
        let changed = |rules: NamingRules, threshold: Option<f32>| NamingRules {
            threshold: threshold.unwrap_or(rules.threshold),
            margin: margin.unwrap_or(rules.margin),
            one_look,
            ..rules
        };
        Self {
            roster: changed(self.roster, own.roster_threshold),
            gallery: changed(self.gallery, own.gallery_threshold),
        }
    }
}

/// What a request may set of the rules of naming.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleChanges {
    /// The least similarity, -1..=1.
    pub threshold: Option<f32>,
    /// The least lead, -1..=2.
    pub margin: Option<f32>,
}

impl RuleChanges {
    /// The rules with the request's changes.
    ///
    /// # Errors
    /// `Invalid` for a value that no similarity can reach.
    fn apply(self, rules: NamingRules) -> Result<NamingRules> {
        self.check()?;
        let (threshold, margin) = (self.threshold.unwrap_or(rules.threshold), self.margin.unwrap_or(rules.margin));
        Ok(NamingRules { threshold, margin, ..rules })
    }

    /// The same where people are marked: what the request says may be stricter than the tenant's rules, never laxer.
    ///
    /// # Errors
    /// `Invalid` `invalid_threshold`, `invalid_margin`, or `laxer_than_tenant`.
    fn tighten(self, rules: NamingRules) -> Result<NamingRules> {
        let asked = self.apply(rules)?;
        let values = [("threshold", asked.threshold, rules.threshold), ("margin", asked.margin, rules.margin)];
        for (field, value, least) in values {
            if value < least {
                let message = format!(
                    "{field} is {value}, and the tenant's own is {least}: a request that marks people may be stricter, \
                     never laxer; leave {field} out, or send mark=false to look only"
                );
                let details = serde_json::json!({ "field": field, "least": least });
                return Err(Error::invalid(message).with_code("laxer_than_tenant").with_details(details));
            }
        }
        Ok(asked)
    }

    /// The changes where the tenant's rules may have become stricter since they were accepted: of both the stricter.
    fn no_laxer_than(self, rules: NamingRules) -> Self {
        let [threshold, margin] = [(self.threshold, rules.threshold), (self.margin, rules.margin)]
            .map(|(asked, least)| asked.map(|asked| asked.max(least)));
        Self { threshold, margin }
    }

    /// Errors: `Invalid` for a value that no similarity can reach.
    fn check(self) -> Result<()> {
        if !self.threshold.is_none_or(|threshold| (-1.0..=1.0).contains(&threshold)) {
            return Err(Error::invalid("threshold is a cosine between -1 and 1").with_code("invalid_threshold"));
        }
        if !self.margin.is_none_or(|margin| (0.0..=2.0).contains(&margin)) {
            return Err(Error::invalid("margin is a difference of cosines between 0 and 2").with_code("invalid_margin"));
        }
        Ok(())
    }
}

impl Service {
    /// The use cases over these parts.
    ///
    /// # Errors
    /// `Storage` if the keys of the access tokens cannot be read or made.
    pub fn new(pipeline: Pipeline, clock: Arc<dyn Clock>, options: ServiceOptions) -> Result<Self> {
        let ServiceOptions { naming, quotas, data, lifetimes, events, webhooks, jobs } = options;
        let (store, galleries) = (pipeline.tools().store.clone(), pipeline.tools().galleries.clone());
        let refused = pipeline.tools().metrics.quota_refused.clone();
        let quotas = QuotaKeeper::new(quotas, store.clone(), Arc::clone(&clock), refused);
        let hub = Hub::new(events.max_streams, pipeline.tools().metrics.event_streams.clone());
        let (tickets, couriers) = (Tickets::default(), Couriers::new(&webhooks)?);
        let gate = Gate::open(&data, lifetimes, clock.now())?;
        let desk = JobDesk::new(Spool::of(&data, jobs.room), jobs);
        let vault = Vault::of(&data);
        let (tenant_locks, people_locks) = (Locks::new(TENANT_LOCKS), Locks::new(PERSON_LOCKS));
        let workbooks = Turnstile::new(attendance::reports::WORKBOOKS_AT_ONCE);
        Ok(Self {
            store,
            galleries,
            pipeline,
            clock,
            naming,
            tenant_locks,
            people_locks,
            gate,
            quotas,
            hub,
            tickets,
            couriers,
            event_settings: events,
            desk,
            workbooks,
            data: data.into(),
            vault,
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

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock for what goes on after the call.
    fn telling_time(&self) -> impl Fn() -> Timestamp + Send + Sync + use<> {
        let clock = Arc::clone(&self.clock);
        move || clock.now()
    }

    /// Runs images through the pipeline, counted as photos of the tenant's day; each has an answer of its own.
    ///
    /// # Errors
    /// `Overloaded` `daily_quota`, or as for [`Pipeline::run`].
    async fn run(&self, visit: &Visit, images: Vec<EncodedImage>, wanted: Wanted) -> Result<Vec<PhotoReply>> {
        if images.is_empty() {
            return Err(Error::invalid("send at least one image in the field images").with_code("no_images"));
        }
        let photos = images.len() as u64;
        self.quotas.count_photos(visit, visit.settings(), photos).await?;
        let replies = self.pipeline.run(images, wanted).await;
        let replies = replies.inspect_err(|_| self.quotas.discount_photos(visit, photos))?;
        // What comes of them is told, and not only stored, and they may have been under way for long.
        self.store.require_right(visit.right()).await?;
        Ok(replies)
    }

    /// The rules of naming under a tenant's settings.
    fn naming_under(&self, settings: &TenantSettings) -> Naming {
        self.naming.with(settings.matching)
    }

    /// The same for who only has the scope.
    async fn naming(&self, scope: &TenantScope) -> Result<Naming> {
        Ok(self.naming_under(&self.store.tenant_settings(scope).await?))
    }

    /// Keeps the counts that tenants' quotas go by, for ever.
    pub fn keep_quotas(&self) -> impl Future<Output = ()> + use<> {
        self.quotas.clone().keep()
    }

    /// How long the oldest event has waited that a webhook is to be told of.
    pub fn webhooks_behind(&self) -> SignedDuration {
        self.couriers.behind(self.clock.now())
    }

    /// Writes the counts that tenants' quotas go by: before a stop.
    pub async fn write_quotas(&self) {
        self.quotas.write().await;
    }
}

/// Carries a change to its end even if its caller goes away midway (a client that hangs up drops the handler):
/// otherwise files could stay whose records are gone, or a record could name a file that is not kept.
async fn to_completion<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(carried(change))
        .await
        .unwrap_or_else(|lost| Err(Error::internal("a change was cut short").with_source(lost)))
}

/// A photo's wants with everything off; the use cases switch on what they need.
fn wanted(scope: &TenantScope, faces: FaceChoice) -> Wanted {
    Wanted {
        scope: scope.clone(),
        class: ServiceClass::Interactive,
        faces,
        turned: true,
        embed: false,
        measure: false,
        liveness: LivenessPolicy::Off,
        pose: false,
        search: None,
        mark: None,
        annotate: false,
        copy: None,
    }
}

/// Whether the fault is the image's own, as opposed to the server's: then the other images of a request go on.
fn is_the_images_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unprocessable | ErrorKind::TooLarge | ErrorKind::Unsupported)
}
