//! Who asks: a key becomes a scope, and handlers take the scope as an argument.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web::Data};

use super::{ApiState, error::ApiError};
use crate::{
    domain::TenantScope,
    error::{Error, Result},
    service::access::{OperatorScope, unauthenticated},
};

/// A handler with this argument serves one tenant.
pub(super) struct Caller(pub(super) TenantScope);

/// A handler with this argument serves the operator.
pub(super) struct Operator(pub(super) OperatorScope);

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (state, key) = (state(request), key(request));
        Box::pin(async move { Ok(Self(state?.service.authenticate(&key?).await?)) })
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (state, key) = (state(request), key(request));
        Box::pin(async move { Ok(Self(state?.service.authenticate_operator(&key?).await?)) })
    }
}

/// The server's state.
pub(super) fn state(request: &HttpRequest) -> Result<Data<ApiState>> {
    request
        .app_data::<Data<ApiState>>()
        .cloned()
        .ok_or_else(|| Error::internal("the server was built without its state"))
}

/// The key of a request: `Authorization: Bearer KEY` or `X-API-Key: KEY`.
pub(super) fn key(request: &HttpRequest) -> Result<String> {
    let headers = request.headers();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let given = bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
    given.filter(|key| !key.is_empty()).map(str::to_owned).ok_or_else(unauthenticated)
}
