//! The route map, and everything between a socket and a use case.

mod address;
mod api;
mod auth;
mod authority;
mod docs;
mod envelope;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hardening;
mod idempotency;
mod leaving;
mod listeners;
mod ops;
mod page;
mod patience;
mod prefix;
mod route;
mod shares;
mod state;
mod tls;
mod upload;

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
    state::ApiState,
    tls::{AUTHORITY_FILE, Certificate, authority_of, fingerprint},
};
use self::{error::ApiError, route::not_found};
use crate::error::Error;
use actix_web::web::{self, Data, ServiceConfig};

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
        .service(web::scope("/api/v1").configure(api::routes).default_service(web::to(not_found)))
        .configure(ops::routes)
        .configure(docs::routes)
        .configure(authority::routes)
        .default_service(web::to(not_found));
}

/// The routes of the listener of health.
pub fn health_routes(config: &mut ServiceConfig, state: &ApiState) {
    config.app_data(Data::new(state.clone())).configure(ops::health).default_service(web::to(not_found));
}
