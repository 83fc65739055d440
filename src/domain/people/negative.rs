//! Faces that are known not to be a person's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{FaceId, PersonId},
    recognition::face::ModelId,
};

/// The most negatives of one person.
pub const MAX_NEGATIVES_A_PERSON: usize = 20;

/// A face that a person was taken for, or may be: a twin's, a stranger's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Negative {
    /// Its identity.
    pub id: FaceId,
    /// Who it is not.
    pub person: PersonId,
    /// Whose sample it was made of; `None` for one that came as a photo.
    pub of: Option<PersonId>,
    /// What made the vector.
    pub model: ModelId,
    /// Unit length, finite.
    pub vector: Vec<f32>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What becomes of the negatives of `person` and of `from`, who turn out to be one: those that were made of the other's
/// samples were wrong and go.
pub fn merged(person: &PersonId, own: Vec<Negative>, from: &PersonId, others: Vec<Negative>) -> Vec<Negative> {
    let all = own.into_iter().chain(others).filter(|one| one.of.as_ref().is_none_or(|of| of != person && of != from));
    all.map(|one| Negative { person: person.clone(), ..one }).collect()
}
