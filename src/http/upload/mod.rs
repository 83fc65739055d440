//! Bodies: with images, as multipart (field `images`, repeated) or JSON with base64; JSON alone; whole files, which go to the
//! disk. Memory is taken from the byte budget before it is used, so no number of clients can make the server grow.

mod body;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod gathering;
mod json;
mod meter;
mod multipart;
mod spooled;

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web::Data};
use serde::de::DeserializeOwned;

use self::meter::Meter;
pub(super) use self::{
    body::{Body, BodyLimit, OpenBody},
    spooled::Spooled,
};
use super::{
    auth::{self, Permit},
    error::ApiError,
    shares,
    state::ApiState,
};
use crate::{
    config::Limits,
    error::{Error, ErrorKind, MAX_QUOTED_CHARS, Result},
    pipeline::messages::EncodedImage,
    service::access::Scope,
};

/// The field of images.
const IMAGES: &str = "images";
/// The longest text of a field, in bytes.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The most bytes of the settings beside images and files, as they are sent.
const MAX_SETTINGS_BYTES: usize = 64 * 1024;

/// A tenant's request with images and the settings `P`, of a caller who is permitted `N`.
pub(super) struct Upload<P, N: Permit> {
    pub(super) scope: N::Scope,
    pub(super) images: Vec<EncodedImage>,
    pub(super) params: P,
}

impl<P: DeserializeOwned + 'static, N: Permit> FromRequest for Upload<P, N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(read(&request, payload).await?) })
    }
}

/// Checks the caller first: nobody's memory is taken for a stranger.
async fn read<P: DeserializeOwned, N: Permit>(request: &HttpRequest, payload: Payload) -> Result<Upload<P, N>> {
    let state: Data<ApiState> = auth::state(request)?;
    let entered = auth::permitted::<N>(request).await?;
    // Only tenants have images.
    entered.access.tenant_scope()?;
    let turn = shares::of(&entered.access);
    let budget = &state.services.pipeline().tools().budget;
    let meter = Meter::admit(request.headers(), budget, &turn, state.limits.body_bytes)?;
    let chunks = meter.stream(payload);
    let outcome = match request.content_type().to_ascii_lowercase().as_str() {
        "multipart/form-data" => multipart::read(request.headers(), chunks, &meter, &state.limits).await,
        "application/json" => json::read(chunks, &meter, &state, turn).await,
        _ => Err(Error::new(ErrorKind::Unsupported, "send multipart/form-data or application/json")
            .with_code("unsupported_content_type")),
    };
    // What stopped the stream says more than what its reader made of the end.
    let (images, params) = outcome.map_err(|error| meter.refusal().unwrap_or(error))?;
    Ok(Upload { scope: N::Scope::of(state.services.access.arrived(entered).await?)?, images, params })
}

fn check_count(images: usize, limits: &Limits) -> Result<()> {
    if images > limits.request_images {
        let message = format!("at most {} images fit into one request", limits.request_images);
        return Err(Error::invalid(message).with_code("too_many_images"));
    }
    Ok(())
}

fn check_image(bytes: usize, limits: &Limits) -> Result<()> {
    if bytes as u64 > limits.image_bytes {
        let message = format!("an image is at most {} bytes", limits.image_bytes);
        return Err(Error::new(ErrorKind::TooLarge, message).with_code("image_too_large"));
    }
    Ok(())
}

/// The error for a file, or what can only be one, in a field that takes none; `files` are those that do.
fn takes_no_file(name: &str, files: &[&str]) -> Error {
    let name: String = name.chars().take(MAX_QUOTED_CHARS).collect();
    Error::invalid(format!("the field {name} takes no file: send files in {}", files.join(", ")))
}

fn field_too_large(message: &'static str) -> Error {
    Error::new(ErrorKind::TooLarge, message).with_code("field_too_large")
}

fn ended_early() -> Error {
    Error::invalid("the body ended early").with_code("incomplete_body")
}
