//! `multipart/form-data`: the images as they are, the settings as text fields.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{error::PayloadError, http::header::HeaderMap};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use serde::de::DeserializeOwned;

use super::{
    IMAGES, MAX_SETTINGS_BYTES, MAX_TEXT_BYTES, check_count, check_image, ended_early, field_too_large,
    gathering::Gathering, meter::Meter, takes_no_file,
};
use crate::{
    config::Limits,
    error::{Error, Result},
    pipeline::messages::EncodedImage,
};

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
        if name == IMAGES {
            check_count(images.len() + 1, limits)?;
            images.push(image(&mut field, meter, limits).await?);
        } else {
            add_text(&mut texts, &name, &mut field, &[IMAGES]).await?;
        }
    }
    Ok((images, params(&texts)?))
}

/// Reads a text field, if there are not too many or too long ones; a blank one is as one that is missing, as browsers send
/// what nobody filled in. `files` are the fields of files here: a file in another is refused by these names.
pub(super) async fn add_text(
    texts: &mut Vec<(String, String)>,
    name: &str,
    field: &mut Field,
    files: &[&str],
) -> Result<()> {
    if texts.len() == MAX_FIELDS {
        return Err(Error::invalid("too many fields").with_code("invalid_form"));
    }
    let is_file = is_file(field);
    let refused = |bytes: &[u8], error: Error| {
        if is_file || is_binary(bytes) { takes_no_file(name, files).with_code("invalid_form") } else { error }
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = field.try_next().await.map_err(unreadable)? {
        if bytes.len() + chunk.len() > MAX_TEXT_BYTES {
            bytes.extend_from_slice(&chunk);
            return Err(refused(&bytes, field_too_large("a field is too long")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let no_text = Error::invalid(format!("the field {name:.40} is not UTF-8")).with_code("invalid_form");
        refused(error.as_bytes(), no_text)
    })?;
    if text.is_empty() {
        return Ok(());
    }
    texts.push((name.to_owned(), text));
    let all: usize = texts.iter().map(|(name, text)| name.len() + text.len()).sum();
    if all > MAX_SETTINGS_BYTES {
        return Err(field_too_large("the fields are too long"));
    }
    Ok(())
}

/// Whether a field says that it is a file. Some clients send texts so, too.
fn is_file(field: &Field) -> bool {
    let has_name = field.content_disposition().is_some_and(|disposition| disposition.get_filename().is_some());
    has_name || field.content_type().is_some_and(|kind| kind.type_() == "image")
}

/// Whether bytes that may be cut off are no text: of a file that a client sends without saying so.
fn is_binary(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

/// The settings of a form's text fields.
pub(super) fn params<P: DeserializeOwned>(texts: &[(String, String)]) -> Result<P> {
    let form = serde_html_form::to_string(texts)
        .map_err(|error| Error::internal("the form cannot be read").with_source(error))?;
    serde_html_form::from_str(&form).map_err(|error| Error::unreadable("the form", &error).with_code("invalid_form"))
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
        error => Error::unreadable("the multipart body", &error).with_code("invalid_form"),
    }
}
