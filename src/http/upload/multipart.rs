//! `multipart/form-data`: the images as they are, the settings as text fields.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{error::PayloadError, http::header::HeaderMap};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use serde::de::DeserializeOwned;

use super::{check_count, check_image, ended_early, field_too_large, meter::Meter};
use crate::{
    config::Limits,
    error::{Error, Result},
    pipeline::messages::EncodedImage,
};

/// The longest text field, in bytes.
const MAX_FIELD_BYTES: usize = 16 * 1024;
/// The most text fields.
const MAX_FIELDS: usize = 256;

/// The images and settings of a body whose bytes `meter` counts.
pub(super) async fn read<P: DeserializeOwned>(
    headers: &HeaderMap,
    chunks: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
    meter: &Meter,
    limits: &Limits,
) -> Result<(Vec<EncodedImage>, P)> {
    let mut fields = Multipart::new(headers, chunks);
    let mut images = Vec::new();
    let mut texts: Vec<(String, String)> = Vec::new();
    while let Some(mut field) = fields.try_next().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "images" {
            check_count(images.len() + 1, limits)?;
            let bytes = read_field(&mut field, |bytes| check_image(bytes, limits)).await?;
            images.push(EncodedImage { held: meter.claim(bytes.len()), bytes });
        } else {
            add_text(&mut texts, &name, &mut field).await?;
        }
    }
    Ok((images, params(&texts)?))
}

/// Reads a text field.
pub(super) async fn add_text(texts: &mut Vec<(String, String)>, name: &str, field: &mut Field) -> Result<()> {
    if texts.len() == MAX_FIELDS {
        return Err(Error::invalid("too many fields").with_code("invalid_form"));
    }
    let text = read_text(field, name).await?;
    texts.push((name.to_owned(), text));
    Ok(())
}

/// The settings of a form's text fields.
pub(super) fn params<P: DeserializeOwned>(texts: &[(String, String)]) -> Result<P> {
    let form = serde_html_form::to_string(texts)
        .map_err(|error| Error::internal("the form cannot be read").with_source(error))?;
    serde_html_form::from_str(&form)
        .map_err(|error| Error::invalid(format!("the form cannot be read: {error}")).with_code("invalid_form"))
}

async fn read_text(field: &mut Field, name: &str) -> Result<String> {
    let short = |bytes| if bytes > MAX_FIELD_BYTES { Err(field_too_large("a field is too long")) } else { Ok(()) };
    let bytes = read_field(field, short).await?;
    let text = String::from_utf8(bytes.into())
        .map_err(|_| Error::invalid(format!("the field {name:.40} is not UTF-8")).with_code("invalid_form"))?;
    // Read further, an empty field would pass for a missing one.
    if text.is_empty() {
        return Err(Error::invalid(format!("the field {name:.40} is empty")).with_code("invalid_form"));
    }
    Ok(text)
}

/// A field's bytes; `check` is asked about their number before they are kept.
async fn read_field(field: &mut Field, check: impl Fn(usize) -> Result<()>) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = field.try_next().await.map_err(unreadable)? {
        check(bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

pub(super) fn unreadable(error: MultipartError) -> Error {
    match error {
        MultipartError::Payload(PayloadError::Incomplete(_)) => ended_early(),
        error => Error::invalid(format!("the multipart body cannot be read: {error}")).with_code("invalid_form"),
    }
}
