//! What an enrolment takes and answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{DuplicatePolicy, FaceId, GroupId, MetadataPatch, PersonId, Quality, QualityGate},
    pipeline::request::FaceChoice,
    service::{
        fields::json_or_text,
        people::{
            consent::NewConsent,
            duplicates::Twin,
            person::{PersonView, SampleView},
        },
        view::LivenessView,
    },
};

/// What a new person takes beside their photos.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// Unique in the tenant; made up if missing.
    pub id: Option<PersonId>,
    /// 1–200 characters.
    pub name: String,
    /// Where they are reached.
    pub email: Option<String>,
    /// What else the institution keeps, as an object; in a form, as its JSON.
    #[serde(default, deserialize_with = "json_or_text", skip_serializing_if = "MetadataPatch::is_empty")]
    pub metadata: MetadataPatch,
    /// On what ground their face is kept, as an object; in a form, as its JSON.
    #[serde(default, deserialize_with = "json_or_text")]
    pub consent: Option<NewConsent>,
    /// The groups to put them in; each must exist.
    #[serde(default)]
    pub groups: Vec<GroupId>,
    /// Which face of each photo is meant.
    #[serde(default)]
    pub faces: FaceChoice,
    /// What the images must be like, if that is stricter than the tenant's own rule.
    pub quality: Option<QualityGate>,
    /// What happens to a face that is already someone else's, if that is stricter than the tenant's own rule.
    pub duplicates: Option<DuplicatePolicy>,
}

/// How to take images of a person who is known already.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoreFaces {
    /// Which face of each photo is meant.
    #[serde(default)]
    pub faces: FaceChoice,
    /// What the images must be like, if that is stricter than the tenant's own rule.
    pub quality: Option<QualityGate>,
}

/// What was measured of a face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// How good it is for recognition.
    pub quality: Quality,
    /// What the liveness check says; null where the tenant's rules do not ask.
    pub liveness: Option<LivenessView>,
    /// By how many degrees the image was turned clockwise to find the face upright: 90, 180 or 270; null where it is so
    /// as the image came.
    pub turned: Option<u16>,
}

/// An image that became a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedImage {
    /// Its place in the request, from 0.
    pub image: usize,
    /// The sample.
    pub face: FaceId,
    /// What was measured of it.
    #[serde(flatten)]
    pub measured: Measured,
}

/// An image that could not be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RejectedImage {
    /// Its place in the request, from 0.
    pub image: usize,
    /// For machines: `not_an_image`, …, `no_face`, `several_faces`, `too_small`, `too_dark`, `too_bright`, `blurred`,
    /// `turned_away`, `low_score`, `not_live`, `inconsistent`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What was measured of the face; null where none was found.
    pub measured: Option<Measured>,
}

/// A person after enrolment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The person with all their samples.
    #[serde(flatten)]
    pub person: PersonView,
    /// The images that were used.
    pub accepted: Vec<AcceptedImage>,
    /// The images that could not be used.
    pub rejected: Vec<RejectedImage>,
    /// Other people of the tenant who look the same; empty unless the tenant's rules ask for a flag.
    pub duplicates: Vec<Twin>,
}

/// The samples that were added to a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FacesAdded {
    /// The new samples.
    pub faces: Vec<SampleView>,
    /// The images that were used.
    pub accepted: Vec<AcceptedImage>,
    /// The images that could not be used.
    pub rejected: Vec<RejectedImage>,
    /// Other people of the tenant who look the same; empty unless the tenant's rules ask for a flag.
    pub duplicates: Vec<Twin>,
}
