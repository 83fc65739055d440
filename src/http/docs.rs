//! `/openapi.json` and `/docs`: the API's description, and a page to try it. The bytes are there once, however many are
//! being answered: who needs no key cannot make the server hold copies.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web::{Path, ServiceConfig},
};
use bytes::Bytes;
use utoipa_swagger_ui::{Config, serve};

use super::{error::ApiError, get_or_head, openapi, resource};
use crate::error::Error;

static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| openapi::description().to_string().into());

/// The page is made of our own files alone; its default would show the API's address to a validator on the internet.
static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["/openapi.json"]).validator_url("none")));

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/openapi.json").route(get_or_head().to(description)))
        .service(resource("/docs").route(get_or_head().to(to_page)))
        .service(resource("/docs/{file:.*}").route(get_or_head().to(page)));
}

async fn description() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DESCRIPTION.clone())
}

async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A file of the page; of its folder, the page.
async fn page(file: Path<String>) -> Result<HttpResponse, ApiError> {
    let found = serve(&file, Arc::clone(&PAGE));
    let found = found.map_err(|error| Error::internal("the page cannot be made").with_source(error.to_string()))?;
    let file = found.ok_or_else(|| Error::not_found("the page has no such file"))?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(HttpResponse::Ok().content_type(file.content_type).body(bytes))
}
