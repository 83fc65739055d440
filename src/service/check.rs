//! Whether the store is sound and all of it can be searched.

use super::{Service, access::OperatorScope};
use crate::{
    domain::{FaceSample, ModelId},
    error::Result,
    gallery::check_vector,
    store::{CheckReport, Store},
};

impl Service {
    /// See [`check`].
    ///
    /// # Errors
    /// `Storage` if the check could not go on.
    pub async fn check(&self, _operator: &OperatorScope) -> Result<CheckReport> {
        check(&self.store, self.pipeline.tools().networks.get().embedder.model_id().clone()).await
    }
}

/// Reads every record of the store. A sample that the network `model` cannot be compared with, or whose vector is
/// none, is a problem too: its person is not recognised by it.
///
/// # Errors
/// `Storage` if the check could not go on.
pub async fn check(store: &Store, model: ModelId) -> Result<CheckReport> {
    let judge = move |sample: &FaceSample| match check_vector(&sample.vector, sample.model.dimension as usize) {
        Err(error) => Some(error.code()),
        Ok(()) => (sample.model != model).then_some("other_model"),
    };
    store.check(judge).await
}
