//! How a gallery is to be searched.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How searches of a whole gallery go about it. A search of a roster compares the roster's samples in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GalleryPlan {
    /// Whatever was measured to be fastest for the search at hand.
    #[default]
    Auto,
    /// Every sample is compared.
    Exact,
    /// One-bit codes choose the samples that are compared.
    Codes,
    /// A graph and one-bit codes choose the samples that are compared.
    Hnsw,
}
