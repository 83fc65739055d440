//! Bodies with whole files, which go to the disk as they come: they take no memory, however large they are.

use std::{future::Future, marker::PhantomData, pin::Pin};

use actix_multipart::{Field, Multipart};
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::CONTENT_LENGTH, web::Data};
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;

use super::{
    super::{
        auth::{self, Permit},
        error::ApiError,
    },
    IMAGES,
    multipart::{add_text, params, unreadable},
};
use crate::{
    domain::TenantScope,
    error::{Error, ErrorKind, Result},
    http::state::ApiState,
    intake::{Incoming, PHOTOS, ROSTER, image},
    service::jobs::{ImportParams, RecogniseJobParams},
};

/// Which fields hold whole files, beside the settings.
pub(in crate::http) trait WithFiles: DeserializeOwned + 'static {
    /// Their names: `csv`, `photos`, `images`, of which the last may come many times.
    const FILES: &'static [&'static str];
}

impl WithFiles for ImportParams {
    const FILES: &'static [&'static str] = &["csv", "photos"];
}

impl WithFiles for RecogniseJobParams {
    const FILES: &'static [&'static str] = &["photos", IMAGES];
}

/// A tenant's request with files and the settings `P`, of a caller who is permitted `N`.
pub(in crate::http) struct Spooled<P, N: Permit> {
    pub(in crate::http) scope: TenantScope,
    pub(in crate::http) files: Incoming,
    pub(in crate::http) params: P,
    permission: PhantomData<N>,
}

impl<P: WithFiles, N: Permit> FromRequest for Spooled<P, N> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { Ok(read(&request, payload).await?) })
    }
}

async fn read<P: WithFiles, N: Permit>(request: &HttpRequest, payload: Payload) -> Result<Spooled<P, N>> {
    let state: Data<ApiState> = auth::state(request)?;
    let scope = auth::permitted::<N>(request).await?.access.tenant_scope()?;
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return Err(
            Error::new(ErrorKind::Unsupported, "send multipart/form-data").with_code("unsupported_content_type")
        );
    }
    let mut room = Room(state.services.jobs.desk().options.max_upload_bytes);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > room.0) {
        return Err(too_large());
    }
    let files = state.services.jobs.begin_upload(&scope).await?;
    if let Some(bytes) = announced {
        files.require_room(bytes)?;
    }
    let mut fields = Multipart::new(request.headers(), payload);
    let (mut texts, mut images) = (Vec::new(), 0);
    while let Some(mut field) = fields.try_next().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = match name.as_str() {
            name if !P::FILES.contains(&name) => {
                add_text(&mut texts, name, &mut field, P::FILES).await?;
                continue;
            }
            IMAGES if images == state.services.jobs.desk().options.max_entries => {
                return Err(Error::new(ErrorKind::TooLarge, "too many photos").with_code("too_many_entries"));
            }
            IMAGES => {
                images += 1;
                image(images - 1)
            }
            "csv" => ROSTER.to_owned(),
            _ => PHOTOS.to_owned(),
        };
        if files.path(&file).exists() {
            return Err(Error::invalid(format!("the field {name} comes twice")).with_code("invalid_form"));
        }
        store(&files, &file, &mut field, &mut room).await?;
    }
    Ok(Spooled { scope, files, params: params(&texts)?, permission: PhantomData })
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
