//! `/ca.crt`: the certificate of an authority of one's own, which a phone has to trust before it trusts the server. It is
//! no secret, and so the one thing that is given in clear on the port of https as well.

use actix_web::{
    HttpResponse,
    web::{Data, ServiceConfig},
};

use super::{
    error::ApiError,
    route::{get_or_head, resource},
    state::ApiState,
};
use crate::error::Error;

/// Where it is.
pub const PATH: &str = "/ca.crt";

/// What phones take for a certificate to trust.
const CONTENT_TYPE: &str = "application/x-x509-ca-cert";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource(PATH).route(get_or_head().to(certificate)));
}

async fn certificate(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let none = || Error::not_found("the server's certificate is not of an authority of its own");
    let authority = state.authority.clone().ok_or_else(none)?;
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(authority))
}
