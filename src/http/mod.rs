//! The route map, and everything between a socket and a use case.

mod account;
mod address;
mod attendance;
mod attendance_reports;
mod audit;
mod auth;
mod authority;
mod consent;
mod docs;
mod envelope;
mod erasures;
mod error;
mod events;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gallery;
mod groups;
mod hardening;
mod idempotency;
mod jobs;
mod keys;
mod leaving;
mod listeners;
mod maintenance;
mod negatives;
mod openapi;
mod ops;
mod patience;
mod people;
mod prefix;
mod recognition;
mod register;
mod reports;
mod rosters;
mod sessions;
mod settings;
mod shares;
mod strangers;
mod tenants;
mod timetables;
mod tls;
mod upload;
mod users;
mod webhooks;

use std::sync::Arc;

use actix_web::{
    Resource, guard,
    web::{self, Data, ServiceConfig},
};
use bytes::Bytes;
use ipnet::IpNet;

use self::error::ApiError;
pub use self::{
    authority::PATH as AUTHORITY_PATH,
    docs::Description,
    envelope::Envelope,
    hardening::cors,
    idempotency::Register,
    leaving::Leaving,
    listeners::Door,
    patience::patience,
    prefix::below,
    tls::{AUTHORITY_FILE, Certificate, authority_of, fingerprint},
};
use crate::{
    config::Limits,
    error::{Error, ErrorKind},
    runtime::{Health, Supervisor},
    service::Service,
    telemetry::Metrics,
};

/// What every handler can reach.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub service: Service,
    /// What a client may send.
    pub limits: Limits,
    /// Whether the server can work.
    pub health: Health,
    /// The stages, for their states.
    pub supervisor: Arc<Supervisor>,
    /// Counts and seconds.
    pub metrics: Metrics,
    /// The proxies whose word on a client's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Requests under idempotency keys.
    pub idempotency: Register,
    /// The certificate, DER, of an authority of one's own that issued the server's.
    pub authority: Option<Bytes>,
    /// What `/openapi.json` says.
    pub description: Description,
}

/// Every route of the server.
pub fn routes(config: &mut ServiceConfig, state: &ApiState) {
    let query = web::QueryConfig::default()
        .error_handler(|error, _| ApiError(Error::unreadable("the query", &error).with_code("invalid_query")).into());
    let path = web::PathConfig::default()
        .error_handler(|error, _| ApiError(Error::unreadable("the path", &error).with_code("invalid_id")).into());
    config
        .app_data(Data::new(state.clone()))
        .app_data(query)
        .app_data(path)
        .service(web::scope("/api/v1").configure(api).default_service(web::to(not_found)))
        .configure(ops::routes)
        .configure(docs::routes)
        .configure(authority::routes)
        .default_service(web::to(not_found));
}

/// The routes of the listener of health.
pub fn health_routes(config: &mut ServiceConfig, state: &ApiState) {
    config.app_data(Data::new(state.clone())).configure(ops::health).default_service(web::to(not_found));
}

fn api(config: &mut ServiceConfig) {
    account::routes(config);
    users::routes(config);
    keys::routes(config);
    audit::routes(config);
    tenants::routes(config);
    settings::routes(config);
    maintenance::routes(config);
    groups::routes(config);
    rosters::routes(config);
    timetables::routes(config);
    sessions::routes(config);
    register::routes(config);
    strangers::routes(config);
    // Before people, of whom one may be called import.
    jobs::routes(config);
    people::routes(config);
    consent::routes(config);
    erasures::routes(config);
    negatives::routes(config);
    recognition::routes(config);
    attendance::routes(config);
    gallery::routes(config);
    reports::routes(config);
    events::routes(config);
    webhooks::routes(config);
    attendance_reports::routes(config);
}

/// A resource that answers 405 in the common envelope to methods it does not have.
fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// A GET route that also answers HEAD, as HTTP asks.
fn get_or_head() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn not_found() -> Result<&'static str, ApiError> {
    Err(ApiError(Error::not_found("there is no such route")))
}

async fn method_not_allowed() -> Result<&'static str, ApiError> {
    Err(ApiError(Error::new(ErrorKind::MethodNotAllowed, "this route does not take this method")))
}
