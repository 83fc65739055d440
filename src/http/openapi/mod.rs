//! The API's description, generated from the handlers and their types.
//!
//! Routes name what is theirs; [`complete`] adds what all have. The forms stand for bodies that `http::upload` reads,
//! [`StreamedEvent`] for the lines of streams: only their schemas are used.

mod complete;
mod errors;
mod examples;
mod methods;

use serde::{Deserialize, Serialize};
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub(super) use self::{complete::description, methods::allowed};
use super::{
    account, attendance, attendance_reports, audit, consent, erasures, events, gallery, groups, jobs, keys,
    maintenance, negatives, people, recognition, register, reports, rosters, sessions, settings, strangers, tenants,
    timetables, users, webhooks,
};
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

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(title = "rollcall", description = "Self-hosted attendance: one classroom photo in, the whole class out."),
    paths(
        account::log_in, account::refresh, account::log_out, account::me, account::change_password, account::rotate,
        users::create, users::list, users::show, users::update, users::delete,
        keys::create, keys::list, keys::revoke, keys::rotate,
        audit::list,
        tenants::create, tenants::list, tenants::show, tenants::update, tenants::delete,
        settings::show, settings::update,
        maintenance::backup, maintenance::check, maintenance::backups, maintenance::strike, maintenance::rewrite,
        groups::create, groups::list, groups::show, groups::update, groups::delete,
        rosters::members, rosters::add_member, rosters::remove_member, rosters::member_photo,
        timetables::timetable, timetables::replace, timetables::holidays, timetables::replace_holidays,
        sessions::create, sessions::list, sessions::current, sessions::show, sessions::update, sessions::cancel,
        sessions::restore, sessions::open, sessions::close, sessions::reopen,
        register::review, register::records, register::confirm, register::undo_correction, register::appeal, register::settle,
        strangers::dismiss, strangers::name,
        people::enrol, people::list, people::show, people::update, people::delete,
        people::replace_faces, people::add_faces, people::delete_face,
        negatives::add, negatives::list, negatives::delete,
        erasures::list,
        consent::show, consent::give, consent::withdraw,
        people::move_face, people::merge, people::photo, people::export, people::verify,
        jobs::import, jobs::recognize, jobs::list, jobs::show, jobs::cancel, jobs::events, jobs::results,
        recognition::recognize, recognition::identify, recognition::compare, recognition::detect,
        recognition::embeddings,
        attendance::list, attendance::undo,
        gallery::check,
        reports::duplicates, reports::calibration,
        events::list, events::open, events::ticket,
        webhooks::create, webhooks::list, webhooks::show, webhooks::update, webhooks::delete,
        webhooks::dead, webhooks::replay,
        attendance_reports::attendance, attendance_reports::at_risk, attendance_reports::heat_map,
    ),
    components(schemas(super::error::ErrorBody)),
    tags(
        (name = "tenants", description = "The operator's: institutions and their limits."),
        (name = "settings", description = "The caller's own institution."),
        (name = "maintenance", description = "The operator's: backups, check, rewriting."),
        (name = "groups", description = "Classes and events, and their rosters."),
        (name = "people", description = "Who is known, and their face samples."),
        (name = "audit", description = "What was changed, and by whom."),
        (name = "auth", description = "The caller's own login."),
        (name = "consent", description = "On what ground a person's data is kept."),
        (name = "erasures", description = "What was removed for good."),
        (name = "jobs", description = "Work that outlives its request: rosters to take in, many photos to go through."),
        (name = "keys", description = "API keys of programs."),
        (name = "negatives", description = "Faces that are not a person's."),
        (name = "users", description = "Who logs in, and with which role."),
        (name = "recognition", description = "Who is in a photo."),
        (name = "faces", description = "Faces without names."),
        (name = "attendance", description = "Who was there."),
        (name = "sessions", description = "When groups meet."),
        (name = "gallery", description = "Whether enrolled samples are found."),
        (name = "events", description = "What happens, as it happens."),
        (name = "webhooks", description = "Where events are sent."),
        (name = "reports", description = "How groups attend, what is odd about the people enrolled, and what their samples say about thresholds."),
    ),
    modifiers(&Keys),
    security(("bearer" = []), ("api_key" = []))
)]
struct ApiDoc;

/// How callers show who they are.
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components
            .add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
    }
}

macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $params:ty) => {
        $(#[$doc])*
        #[derive(Serialize, Deserialize, ToSchema)]
        pub(super) struct $name {
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
pub(super) struct ImportForm {
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
pub(super) struct RecognizeJobForm {
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
pub(super) struct ImagesForm {
    /// The files (multipart), or base64 (JSON).
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    images: Vec<String>,
}

/// A server-sent event, by its fields.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct StreamedEvent {
    /// What is told.
    event: String,
    /// Where the stream can be taken up again.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// JSON.
    data: String,
}
