//! Bodies with whole files, which go to the disk as they come: they take no memory, however large they are.

use std::{future::Future, pin::Pin};

use actix_multipart::{Field, Multipart};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::CONTENT_LENGTH, web::Data};
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;

use super::{
    super::{
        ApiState,
        auth::{self, Permit},
        error::ApiError,
    },
    multipart::{add_text, params, unreadable},
};
use crate::{
    domain::TenantScope,
    error::{Error, ErrorKind, Result},
    jobs::{Incoming, PHOTOS, ROSTER},
    service::access::Scope,
};

/// A tenant's request with files and the settings `P`, of a caller who is permitted `N`.
pub(in crate::http) struct Spooled<P, N: Permit> {
    pub(in crate::http) scope: N::Scope,
    pub(in crate::http) files: Incoming,
    pub(in crate::http) params: P,
}

impl<P: DeserializeOwned + 'static, N: Permit<Scope = TenantScope>> FromRequest for Spooled<P, N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(read(&request, payload).await?) })
    }
}

async fn read<P: DeserializeOwned, N: Permit<Scope = TenantScope>>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<Spooled<P, N>> {
    let state: Data<ApiState> = auth::state(request)?;
    let scope = N::Scope::of(auth::permitted::<N>(request).await?)?;
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return Err(
            Error::new(ErrorKind::Unsupported, "send multipart/form-data").with_code("unsupported_content_type")
        );
    }
    let mut room = Room(state.service.desk().options.max_upload_bytes);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > room.0) {
        return Err(too_large());
    }
    let files = state.service.begin_upload(&scope).await?;
    let mut fields = Multipart::new(request.headers(), payload);
    let mut texts = Vec::new();
    let mut has_roster = false;
    while let Some(mut field) = fields.try_next().await.map_err(unreadable)? {
        match field.name().unwrap_or_default().to_owned().as_str() {
            "csv" if !has_roster => {
                has_roster = true;
                store(&files, ROSTER, &mut field, &mut room).await?;
            }
            "photos" if !files.path(PHOTOS).exists() => store(&files, PHOTOS, &mut field, &mut room).await?,
            name @ ("csv" | "photos") => {
                return Err(Error::invalid(format!("the field {name} comes twice")).with_code("invalid_form"));
            }
            name => add_text(&mut texts, name, &mut field).await?,
        }
    }
    if !has_roster {
        return Err(Error::invalid("send the roster in the field csv").with_code("no_roster"));
    }
    Ok(Spooled { scope, files, params: params(&texts)? })
}

async fn store(files: &Incoming, name: &str, field: &mut Field, room: &mut Room) -> Result<()> {
    let mut file = files.file(name).await?;
    while let Some(chunk) = field.try_next().await.map_err(unreadable)? {
        room.take(chunk.len() as u64)?;
        file.write(&chunk).await?;
    }
    file.finish().await
}

/// Bytes that may still come.
struct Room(u64);

impl Room {
    fn take(&mut self, bytes: u64) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge, "the files are larger than jobs.max_upload_bytes").with_code("body_too_large")
}
