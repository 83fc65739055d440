//! The server's own API, a file a resource.

mod access;
mod attendance;
mod events;
mod forms;
mod jobs;
pub(super) mod openapi;
mod operations;
mod people;
mod recognition;

use actix_web::web::ServiceConfig;

#[cfg(any(test, fuzzing))]
pub(super) use self::events::fuzzing;
pub(super) use self::{
    events::log::{LAST_EVENT_ID, SOCKET},
    recognition::recognize::THAT_ONLY_TELL,
};

/// Every route under `/api/v1`.
pub(super) fn routes(config: &mut ServiceConfig) {
    access::account::routes(config);
    access::users::routes(config);
    access::keys::routes(config);
    access::audit::routes(config);
    access::tenants::routes(config);
    access::settings::routes(config);
    operations::routes(config);
    attendance::groups::routes(config);
    attendance::rosters::routes(config);
    attendance::timetables::routes(config);
    attendance::sessions::routes(config);
    attendance::register::routes(config);
    attendance::strangers::routes(config);
    // Before people, of whom one may be called import.
    jobs::routes(config);
    people::person::routes(config);
    people::consent::routes(config);
    access::erasures::routes(config);
    people::negatives::routes(config);
    recognition::recognize::routes(config);
    attendance::record::routes(config);
    recognition::gallery::routes(config);
    recognition::reports::routes(config);
    events::log::routes(config);
    events::webhooks::routes(config);
    attendance::reports::routes(config);
}
