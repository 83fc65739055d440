//! The use cases. They take a [`TenantScope`](crate::domain::TenantScope) and know no HTTP; every door (HTTP, the
//! command line) calls these, and their answers serialise to what every door shows.

pub mod access;
pub mod analyse;
pub mod attendance;
pub mod backup;
pub mod check;
pub mod consent;
pub mod duplicates;
pub mod enrol;
pub mod export;
mod fields;
pub mod gallery;
pub mod groups;
pub mod merge;
pub mod negatives;
pub mod people;
pub mod recognise;
pub mod tenants;
pub mod view;

use std::sync::Arc;

use self::duplicates::TenantTurns;
use crate::{
    domain::{NamingRules, TenantScope, attendance::LivenessPolicy},
    error::{Error, ErrorKind, Result},
    gallery::Galleries,
    pipeline::{
        Pipeline,
        messages::{EncodedImage, PhotoReply},
        request::{FaceChoice, Wanted},
    },
    runtime::{Clock, ServiceClass},
    store::Store,
};

/// All use cases over one store and one pipeline; cheap to clone.
#[derive(Clone)]
pub struct Service {
    store: Store,
    galleries: Galleries,
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    naming: Naming,
    tenant_turns: TenantTurns,
}

/// The rules of naming that apply where a request sets none.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// Within a roster.
    pub roster: NamingRules,
    /// In the whole gallery, where every face meets more strangers.
    pub gallery: NamingRules,
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
        let threshold = self.threshold.unwrap_or(rules.threshold);
        let margin = self.margin.unwrap_or(rules.margin);
        if !(-1.0..=1.0).contains(&threshold) {
            return Err(Error::invalid("threshold is a cosine between -1 and 1").with_code("invalid_threshold"));
        }
        if !(0.0..=2.0).contains(&margin) {
            return Err(Error::invalid("margin is a difference of cosines between 0 and 2").with_code("invalid_margin"));
        }
        Ok(NamingRules { threshold, margin, ..rules })
    }
}

impl Service {
    /// The use cases over these parts.
    pub fn new(pipeline: Pipeline, clock: Arc<dyn Clock>, naming: Naming) -> Self {
        let (store, galleries) = (pipeline.tools().store.clone(), pipeline.tools().galleries.clone());
        Self { store, galleries, pipeline, clock, naming, tenant_turns: TenantTurns::default() }
    }

    /// The pipeline that serves them.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The store behind them.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs images through the pipeline; each has an answer of its own.
    async fn run(&self, images: Vec<EncodedImage>, wanted: Wanted) -> Result<Vec<PhotoReply>> {
        if images.is_empty() {
            return Err(Error::invalid("send at least one image in the field images").with_code("no_images"));
        }
        self.pipeline.run(images, wanted).await
    }
}

/// Carries a change to its end even if its caller goes away midway (a client that hangs up drops the handler):
/// otherwise the store could know a sample that the gallery does not, or the gallery one that was deleted.
async fn to_completion<T: Send + 'static>(change: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(change).await.unwrap_or_else(|lost| Err(Error::internal("a change was cut short").with_source(lost)))
}

/// A photo's wants with everything off; the use cases switch on what they need.
fn wanted(scope: &TenantScope, faces: FaceChoice) -> Wanted {
    Wanted {
        scope: scope.clone(),
        class: ServiceClass::Interactive,
        faces,
        embed: false,
        measure: false,
        liveness: LivenessPolicy::Off,
        pose: false,
        search: None,
        mark: None,
        annotate: false,
    }
}

/// Whether the fault is the image's own, as opposed to the server's: then the other images of a request go on.
fn is_the_images_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unprocessable | ErrorKind::TooLarge | ErrorKind::Unsupported)
}
