//! `multipart/form-data`: the images as they are, the settings as text fields.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{error::PayloadError, http::header::HeaderMap};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use serde::de::DeserializeOwned;

use super::{
    MAX_SETTINGS_BYTES, check_count, check_image, ended_early, field_too_large, gathering::Gathering, meter::Meter,
};
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
            images.push(image(&mut field, meter, limits).await?);
        } else {
            add_text(&mut texts, &name, &mut field).await?;
        }
    }
    Ok((images, params(&texts)?))
}

/// Reads a text field, if there are not too many or too long ones.
pub(super) async fn add_text(texts: &mut Vec<(String, String)>, name: &str, field: &mut Field) -> Result<()> {
    if texts.len() == MAX_FIELDS {
        return Err(Error::invalid("too many fields").with_code("invalid_form"));
    }
    let text = read_text(field, name).await?;
    texts.push((name.to_owned(), text));
    let all: usize = texts.iter().map(|(name, text)| name.len() + text.len()).sum();
    if all > MAX_SETTINGS_BYTES {
        return Err(field_too_large("the fields are too long"));
    }
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
    let mut bytes = Vec::new();
    while let Some(chunk) = field.try_next().await.map_err(unreadable)? {
        if bytes.len() + chunk.len() > MAX_FIELD_BYTES {
            return Err(field_too_large("a field is too long"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::invalid(format!("the field {name:.40} is not UTF-8")).with_code("invalid_form"))?;
    // Read further, an empty field would pass for a missing one.
    if text.is_empty() {
        return Err(Error::invalid(format!("the field {name:.40} is empty")).with_code("invalid_form"));
    }
    Ok(text)
}

/// An image's bytes.
async fn image(field: &mut Field, meter: &Meter, limits: &Limits) -> Result<EncodedImage> {
    let mut image = Gathering::new(meter.clone());
    while let Some(chunk) = field.try_next().await.map_err(unreadable)? {
        check_image(image.len() + chunk.len(), limits)?;
        image.add(&chunk)?;
    }
    let (bytes, held) = image.end();
    Ok(EncodedImage { bytes, held })
}

pub(super) fn unreadable(error: MultipartError) -> Error {
    match error {
        MultipartError::Payload(PayloadError::Incomplete(_)) => ended_early(),
        error => Error::invalid(format!("the multipart body cannot be read: {error}")).with_code("invalid_form"),
    }
}
