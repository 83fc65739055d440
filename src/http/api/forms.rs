//! Bodies that `http::upload` reads, and lines of streams, as the description shows them: only their schemas are used.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::{
    jobs::{ImportParams, RecogniseJobParams},
    people::{
        enrol::{MoreFaces, NewPerson},
        negatives::NewNegative,
    },
    recognition::{
        analyse::{CompareParams, VerifyParams},
        recognize::{IdentifyParams, RecognizeParams},
    },
};

macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $params:ty) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize, ToSchema)]
        pub(in crate::http) struct $name {
            /// The files (multipart), or base64 (JSON).
            #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
            images: Vec<String>,
            #[serde(flatten)]
            params: $params,
        }
    };
}

form!(
    /// Photos of a new person.
    EnrolForm, NewPerson
);
form!(
    /// More photos of a person.
    FacesForm, MoreFaces
);
form!(
    /// A photo to verify.
    VerifyForm, VerifyParams
);
form!(
    /// An image of a face that is not the person's; none where a sample is named.
    NegativeForm, NewNegative
);
form!(
    /// Photos of a group.
    RecognizeForm, RecognizeParams
);
form!(
    /// Photos of anybody.
    IdentifyForm, IdentifyParams
);
form!(
    /// Two images.
    CompareForm, CompareParams
);

/// A roster.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ImportForm {
    /// CSV, or a workbook (`.xlsx`), with a header line: `id`, `name`, `email`, `groups`, `on_roster_since`, consents, and further columns
    /// for the metadata.
    #[schema(value_type = String, format = Binary)]
    csv: String,
    /// ZIP of photos, named `ID/anything.jpg` or `ID.jpg`.
    #[schema(value_type = Option<String>, format = Binary)]
    photos: Option<String>,
    #[serde(flatten)]
    params: ImportParams,
}

/// Many photos of a group.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "images": ["iVBORw0KGgo="] }))]
pub(in crate::http) struct RecognizeJobForm {
    /// ZIP of photos.
    #[schema(value_type = Option<String>, format = Binary)]
    photos: Option<String>,
    /// Photos by themselves, or beside those of the ZIP.
    #[serde(default)]
    #[schema(value_type = Vec<String>, format = Binary)]
    images: Vec<String>,
    #[serde(flatten)]
    params: RecogniseJobParams,
}

/// Photos.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ImagesForm {
    /// The files (multipart), or base64 (JSON).
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    images: Vec<String>,
}

/// A server-sent event, by its fields.
#[derive(Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct StreamedEvent {
    /// What is told.
    event: String,
    /// Where the stream can be taken up again.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// JSON.
    data: String,
}
