//! What all routes have in common.

use actix_web::{Resource, guard, web};

use super::error::ApiError;
use crate::error::{Error, ErrorKind};

/// A resource that answers 405 in the common envelope to methods it does not have.
pub(super) fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(method_not_allowed))
}

/// A GET route that also answers HEAD, as HTTP asks.
pub(super) fn get_or_head() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// 404, for a path that is no route.
pub(super) async fn not_found() -> Result<&'static str, ApiError> {
    Err(ApiError(Error::not_found("there is no such route")))
}

async fn method_not_allowed() -> Result<&'static str, ApiError> {
    Err(ApiError(Error::new(ErrorKind::MethodNotAllowed, "this route does not take this method")))
}
