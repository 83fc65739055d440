//! Whether the store is sound, all of it can be searched, and its photos open.

use crate::{
    domain::{FaceSample, ModelId},
    error::Result,
    gallery::check_vector,
    service::{access::OperatorScope, operations::Service, people::photos::unreadable_photos},
    store::{CheckReport, Store},
    vault::Vault,
};

impl Service {
    /// See [`check`].
    ///
    /// # Errors
    /// `Storage` if the check could not go on; those of a right that has ended.
    pub async fn check(&self, operator: &OperatorScope) -> Result<CheckReport> {
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        let report = check(&self.store, model, &self.vault).await?;
        self.store.require_right(operator.right()).await?;
        Ok(report)
    }
}

/// Reads every record of the store. A sample that the network `model` cannot be compared with, or whose vector is
/// none, is a problem too: its person is not recognised by it. So is a photo that does not open with its key.
///
/// # Errors
/// `Storage` if the check could not go on.
pub async fn check(store: &Store, model: ModelId, vault: &Vault) -> Result<CheckReport> {
    let judge = move |sample: &FaceSample| match check_vector(&sample.vector, sample.model.dimension as usize) {
        Err(error) => Some(error.code()),
        Ok(()) => (sample.model != model).then_some("other_model"),
    };
    let mut report = store.check(judge).await?;
    let mut unreadable = CheckReport::default();
    let found = unreadable_photos(store, vault, |tenant, photo, wrong| {
        unreadable.note(wrong, format!("tenant {tenant} kept_photo {} {}", photo.person, photo.face));
    });
    match found.await {
        // What cannot be read was told above.
        Err(_) if !report.is_sound() => {}
        found => found?,
    }
    report.problems.extend(unreadable.problems);
    Ok(report)
}
