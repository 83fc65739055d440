//! Who is in a photo, and how sure that is.

pub mod analyse;
pub mod calibration;
pub mod gallery;
pub mod recognize;
mod rules;

use std::sync::Arc;

pub use self::rules::{Naming, RuleChanges};
use super::{Visit, access::quotas::QuotaKeeper};
use crate::{
    domain::{FaceChoice, TenantScope, TenantSettings, recognition::liveness::LivenessPolicy},
    error::{Error, ErrorKind, Result},
    galleries::Galleries,
    pipeline::{
        Pipeline,
        messages::{EncodedImage, PhotoReply},
        request::Wanted,
    },
    runtime::{Clock, ServiceClass},
    store::Store,
};

/// Recognition; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) galleries: Galleries,
    pub(super) pipeline: Pipeline,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) naming: Naming,
    pub(super) quotas: QuotaKeeper,
}

impl Service {
    /// Runs images through the pipeline, counted as photos of the tenant's day; each has an answer of its own.
    ///
    /// # Errors
    /// `Overloaded` `daily_quota`, or as for [`Pipeline::run`].
    pub(super) async fn run(
        &self,
        visit: &Visit,
        images: Vec<EncodedImage>,
        wanted: Wanted,
    ) -> Result<Vec<PhotoReply>> {
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
    pub(super) fn naming_under(&self, settings: &TenantSettings) -> Naming {
        self.naming.with(settings.matching)
    }

    /// The same for who only has the scope.
    pub(super) async fn naming(&self, scope: &TenantScope) -> Result<Naming> {
        Ok(self.naming_under(&self.store.tenant_settings(scope).await?))
    }
}

/// A photo's wants with everything off; the use cases switch on what they need.
pub(super) fn wanted(scope: &TenantScope, faces: FaceChoice) -> Wanted {
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
pub(super) fn is_the_images_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unprocessable | ErrorKind::TooLarge | ErrorKind::Unsupported)
}
