//! Bodies with images: multipart (field `images`, repeated) or JSON with base64. Memory is taken from the byte budget
//! before it is used, so no number of clients can make the server grow.

use std::{borrow::Cow, future::Future, pin::Pin};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{CONTENT_LENGTH, HeaderMap},
    web::Data,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{ApiState, auth, error::ApiError};
use crate::{
    config::Limits,
    domain::TenantScope,
    error::{Error, ErrorKind, Result},
    pipeline::{full, messages::EncodedImage},
    runtime::{ByteBudget, Reservation},
};

/// The longest text field of a multipart body, in bytes.
const MAX_FIELD_BYTES: usize = 16 * 1024;
/// The most text fields of a multipart body.
const MAX_FIELDS: usize = 256;
/// How much is reserved at a time while a body of unknown length comes in.
const CHUNKED_STEP_BYTES: u64 = 1 << 20;

/// A tenant's request with images and the settings `P`.
pub(super) struct Upload<P> {
    pub(super) scope: TenantScope,
    pub(super) images: Vec<EncodedImage>,
    pub(super) params: P,
}

impl<P: DeserializeOwned + 'static> FromRequest for Upload<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(read(&request, payload).await?) })
    }
}

/// Checks the key first: nobody's memory is taken for a stranger.
async fn read<P: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<Upload<P>> {
    let state: Data<ApiState> = auth::state(request)?;
    let scope = state.service.authenticate(&auth::key(request)?).await?;
    let mut body = Body::admit(request.headers(), &state, &scope)?;
    let (images, params) = match request.content_type().to_ascii_lowercase().as_str() {
        "multipart/form-data" => {
            let fields = Multipart::new(request.headers(), metered(payload));
            read_multipart(fields, &mut body).await?
        }
        "application/json" => read_json(payload, &mut body).await?,
        _ => {
            return Err(Error::new(ErrorKind::Unsupported, "send multipart/form-data or application/json")
                .with_code("unsupported_content_type"));
        }
    };
    Ok(Upload { scope, images, params })
}

/// The accounts of one body.
struct Body<'a> {
    limits: &'a Limits,
    budget: &'a ByteBudget,
    scope: &'a TenantScope,
    held: Reservation,
    received_bytes: u64,
}

impl<'a> Body<'a> {
    /// Reserves the announced length, or the first step of a body of unknown length.
    fn admit(headers: &HeaderMap, state: &'a ApiState, scope: &'a TenantScope) -> Result<Self> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let limits = &state.limits;
        if announced.is_some_and(|bytes| bytes > limits.body_bytes) {
            return Err(too_large(limits));
        }
        let budget = &state.service.pipeline().tools().budget;
        let held =
            budget.try_reserve(scope.tenant().as_str(), announced.unwrap_or(CHUNKED_STEP_BYTES)).map_err(full)?;
        Ok(Self { limits, budget, scope, held, received_bytes: 0 })
    }

    /// Accounts for bytes as they come in.
    fn receive(&mut self, bytes: usize) -> Result<()> {
        self.received_bytes += bytes as u64;
        if self.received_bytes > self.limits.body_bytes {
            return Err(too_large(self.limits));
        }
        if self.received_bytes > self.held.bytes() {
            let missing = self.received_bytes - self.held.bytes();
            self.held.grow(missing.max(CHUNKED_STEP_BYTES)).map_err(full)?;
        }
        Ok(())
    }

    /// An image of its own, with the share of the body's memory that it holds.
    fn image(&mut self, bytes: Bytes) -> EncodedImage {
        EncodedImage { held: self.held.split(bytes.len() as u64), bytes }
    }

    fn check_count(&self, images: usize) -> Result<()> {
        if images > self.limits.request_images {
            let message = format!("at most {} images fit into one request", self.limits.request_images);
            return Err(Error::invalid(message).with_code("too_many_images"));
        }
        Ok(())
    }

    fn check_image(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.limits.image_bytes {
            let message = format!("an image is at most {} bytes", self.limits.image_bytes);
            return Err(Error::new(ErrorKind::TooLarge, message).with_code("image_too_large"));
        }
        Ok(())
    }
}

fn too_large(limits: &Limits) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is at most {} bytes", limits.body_bytes))
        .with_code("body_too_large")
}

/// The payload as the stream that multipart reads.
fn metered(payload: Payload) -> impl Stream<Item = Result<Bytes, actix_web::error::PayloadError>> + 'static {
    payload.into_stream()
}

async fn read_multipart<P: DeserializeOwned>(
    mut fields: Multipart,
    body: &mut Body<'_>,
) -> Result<(Vec<EncodedImage>, P)> {
    let mut images = Vec::new();
    let mut texts: Vec<(String, String)> = Vec::new();
    while let Some(mut field) = fields.try_next().await.map_err(bad_multipart)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "images" {
            body.check_count(images.len() + 1)?;
            let bytes = read_field(&mut field, body, body.limits.image_bytes as usize).await?;
            images.push(body.image(bytes));
        } else {
            if texts.len() == MAX_FIELDS {
                return Err(Error::invalid("too many fields").with_code("invalid_form"));
            }
            let bytes = read_field(&mut field, body, MAX_FIELD_BYTES).await?;
            let text = String::from_utf8(bytes.into())
                .map_err(|_| Error::invalid(format!("the field {name:.40} is not UTF-8")).with_code("invalid_form"))?;
            // Read further, an empty field would pass for a missing one.
            if text.is_empty() {
                return Err(Error::invalid(format!("the field {name:.40} is empty")).with_code("invalid_form"));
            }
            texts.push((name, text));
        }
    }
    let form = serde_html_form::to_string(&texts)
        .map_err(|error| Error::internal("the form cannot be read").with_source(error))?;
    let params = serde_html_form::from_str(&form)
        .map_err(|error| Error::invalid(format!("the form cannot be read: {error}")).with_code("invalid_form"))?;
    Ok((images, params))
}

async fn read_field(field: &mut Field, body: &mut Body<'_>, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.try_next().await.map_err(bad_multipart)? {
        body.receive(chunk.len())?;
        if bytes.len() + chunk.len() > limit {
            body.check_image(bytes.len() + chunk.len())?;
            return Err(Error::new(ErrorKind::TooLarge, "a field is too long").with_code("field_too_large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn bad_multipart(error: MultipartError) -> Error {
    match error {
        MultipartError::Payload(_) => {
            Error::invalid("the body ended early").with_code("incomplete_body").with_source(error.to_string())
        }
        error => Error::invalid(format!("the multipart body cannot be read: {error}")).with_code("invalid_form"),
    }
}

/// A JSON body: `images` borrowed from the text, everything else as it stands.
#[derive(Deserialize)]
struct JsonUpload<'a> {
    #[serde(borrow, default)]
    images: Vec<Cow<'a, str>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

async fn read_json<P: DeserializeOwned>(mut payload: Payload, body: &mut Body<'_>) -> Result<(Vec<EncodedImage>, P)> {
    let mut text = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Error::invalid("the body ended early").with_code("incomplete_body"))?;
        body.receive(chunk.len())?;
        text.extend_from_slice(&chunk);
    }
    let bad = |error: serde_json::Error| {
        Error::invalid(format!("the JSON body cannot be read: {error}")).with_code("invalid_json")
    };
    let JsonUpload { images: encoded, rest } = serde_json::from_slice(&text).map_err(bad)?;
    body.check_count(encoded.len())?;
    let params = serde_json::from_value(Value::Object(rest)).map_err(bad)?;
    let mut images = Vec::with_capacity(encoded.len());
    for (index, base64) in encoded.iter().enumerate() {
        let bytes = base64.len() / 4 * 3;
        body.check_image(bytes)?;
        // The decoded copy stands beside the text for a moment; both are accounted for.
        let held = body.budget.try_reserve(body.scope.tenant().as_str(), bytes as u64).map_err(full)?;
        let decoded = BASE64_STANDARD
            .decode(strip_data_url(base64))
            .map_err(|_| Error::invalid(format!("image {index} is not base64")).with_code("invalid_base64"))?;
        images.push(EncodedImage { bytes: decoded.into(), held });
    }
    Ok((images, params))
}

/// Browsers hand out `data:image/jpeg;base64,…`.
fn strip_data_url(text: &str) -> &str {
    match text.split_once(";base64,") {
        Some((head, base64)) if head.starts_with("data:") => base64,
        _ => text,
    }
}
