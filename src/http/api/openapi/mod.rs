//! The API's description, generated from the handlers and their types.
//!
//! Routes name what is theirs; [`complete`] adds what all have.

mod complete;
mod errors;
mod examples;
mod methods;

use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub(in crate::http) use self::{complete::description, methods::allowed};
use super::{access, attendance, events, jobs, operations, people, recognition};

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(title = "rollcall", description = "Self-hosted attendance: one classroom photo in, the whole class out."),
    paths(
        access::account::log_in, access::account::refresh, access::account::log_out, access::account::me, access::account::change_password, access::account::rotate,
        access::users::create, access::users::list, access::users::show, access::users::update, access::users::delete,
        access::keys::create, access::keys::list, access::keys::revoke, access::keys::rotate,
        access::audit::list,
        access::tenants::create, access::tenants::list, access::tenants::show, access::tenants::update, access::tenants::delete,
        access::settings::show, access::settings::update,
        operations::backup, operations::check, operations::backups, operations::strike, operations::rewrite,
        attendance::groups::create, attendance::groups::list, attendance::groups::show, attendance::groups::update, attendance::groups::delete,
        attendance::rosters::members, attendance::rosters::add_member, attendance::rosters::remove_member, attendance::rosters::member_photo,
        attendance::timetables::timetable, attendance::timetables::replace, attendance::timetables::holidays, attendance::timetables::replace_holidays,
        attendance::sessions::create, attendance::sessions::list, attendance::sessions::current, attendance::sessions::show, attendance::sessions::update, attendance::sessions::cancel,
        attendance::sessions::restore, attendance::sessions::open, attendance::sessions::close, attendance::sessions::reopen,
        attendance::register::review, attendance::register::records, attendance::register::confirm, attendance::register::undo_correction, attendance::register::appeal, attendance::register::settle,
        attendance::strangers::dismiss, attendance::strangers::name,
        people::person::enrol, people::person::list, people::person::show, people::person::update, people::person::delete,
        people::person::replace_faces, people::person::add_faces, people::person::delete_face,
        people::negatives::add, people::negatives::list, people::negatives::delete,
        access::erasures::list,
        people::consent::show, people::consent::give, people::consent::withdraw,
        people::person::move_face, people::person::merge, people::person::photo, people::person::export, people::person::verify,
        jobs::import, jobs::recognize, jobs::list, jobs::show, jobs::cancel, jobs::events, jobs::results,
        recognition::recognize::recognize, recognition::recognize::identify, recognition::recognize::compare, recognition::recognize::detect,
        recognition::recognize::embeddings,
        attendance::record::list, attendance::record::undo,
        recognition::gallery::check,
        recognition::reports::duplicates, recognition::reports::calibration,
        events::log::list, events::log::open, events::log::ticket,
        events::webhooks::create, events::webhooks::list, events::webhooks::show, events::webhooks::update, events::webhooks::delete,
        events::webhooks::dead, events::webhooks::replay,
        attendance::reports::attendance, attendance::reports::at_risk, attendance::reports::heat_map,
    ),
    components(schemas(crate::http::error::ErrorBody)),
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
