//! JSON without images.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use serde::de::DeserializeOwned;

use super::{
    super::{
        auth::{self, Permit, permitted},
        error::ApiError,
        shares,
    },
    gathering::whole,
    json::unreadable,
    meter::Meter,
};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::Turn,
    service::access::Scope,
};

/// The longest body, in bytes, where a resource does not say otherwise.
const MAX_BYTES: u64 = 64 << 10;
/// The longest body of somebody unknown.
const MAX_OPEN_BYTES: u64 = 8 << 10;

/// The longest body of a resource, in bytes, where it is not [`MAX_BYTES`].
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyLimit(pub(in crate::http) u64);

/// The request with the JSON `P` of a caller who is permitted `N`, in their share of the memory.
pub(in crate::http) struct Body<P, N: Permit> {
    pub(in crate::http) scope: N::Scope,
    pub(in crate::http) params: P,
}

/// The JSON of a request on a route that is open to all.
pub(in crate::http) struct OpenBody<P>(pub(in crate::http) P);

impl<P: DeserializeOwned + 'static, N: Permit> FromRequest for Body<P, N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let entered = permitted::<N>(&request).await?;
            let limit = request.app_data::<BodyLimit>().map_or(MAX_BYTES, |limit| limit.0);
            let params = read(&request, payload, &shares::of(&entered.access), limit).await?;
            Ok(Self { scope: N::Scope::of(entered)?, params })
        })
    }
}

impl<P: DeserializeOwned + 'static> FromRequest for OpenBody<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(Self(read(&request, payload, &shares::of_strangers(), MAX_OPEN_BYTES).await?)) })
    }
}

/// Reads what a body says. Its memory is held until the request has been answered, as what was read from it is.
async fn read<P: DeserializeOwned>(request: &HttpRequest, payload: Payload, turn: &Turn, limit: u64) -> Result<P> {
    let mime = request.mime_type().ok().flatten();
    if !mime.is_some_and(|mime| mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json")) {
        return Err(Error::new(ErrorKind::Unsupported, "send JSON with Content-Type: application/json")
            .with_code("unsupported_content_type"));
    }
    let state = auth::state(request)?;
    let budget = &state.services.pipeline().tools().budget;
    let meter = Meter::admit(request.headers(), budget, turn, limit)?;
    let (text, held) = whole(meter.stream(payload), &meter).await?;
    request.extensions_mut().insert(held);
    serde_json::from_slice(&text).map_err(|error| unreadable(&error))
}
