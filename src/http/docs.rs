//! `/openapi.json` and `/docs`: the API's description, and a page to try it. The bytes are there once, however many are
//! being answered: who needs no key cannot make the server hold copies. The page's addresses are relative, so it is whole
//! below any path at which a proxy shows it.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock, OnceLock},
};

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web::{Data, Path, ServiceConfig},
};
use bytes::Bytes;
use serde_json::json;
use utoipa_swagger_ui::{Config, serve};

use super::{
    api::openapi,
    error::ApiError,
    route::{get_or_head, resource},
    state::ApiState,
};
use crate::{config::Prefix, error::Error};

/// The page is made of our own files alone; its default would show the API's address to a validator on the internet.
static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["../openapi.json"]).validator_url("none")));

/// The API's description of one server, made when it is asked for first. Clones share it.
#[derive(Clone)]
pub struct Description {
    prefix: Prefix,
    made: Arc<OnceLock<Bytes>>,
}

impl Description {
    /// Of a server that is shown below `prefix`.
    pub fn below(prefix: Prefix) -> Self {
        Self { prefix, made: Arc::default() }
    }

    fn bytes(&self) -> Bytes {
        let make = || {
            let mut api = openapi::description();
            // Without one, paths begin at the root.
            if !self.prefix.as_str().is_empty() {
                api["servers"] = json!([{ "url": self.prefix.as_str() }]);
            }
            api.to_string().into()
        };
        self.made.get_or_init(make).clone()
    }
}

/// Where the page is put together, and its last plugin there.
const INITIALIZER: &str = "swagger-initializer.js";
const LAST_PLUGIN: &str = "SwaggerUIBundle.plugins.DownloadUrl";
/// Our own plugin.
const ONLY_WHAT_IS_NEEDED: &str = include_str!("docs/only_what_is_needed.js");

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/openapi.json").route(get_or_head().to(description)))
        .service(resource("/docs").route(get_or_head().to(to_page)))
        .service(resource("/docs/{file:.*}").route(get_or_head().to(page)));
}

async fn description(state: Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(state.description.bytes())
}

async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs/")).finish()
}

/// A file of the page; of its folder, the page.
async fn page(name: Path<String>) -> Result<HttpResponse, ApiError> {
    let found = serve(&name, Arc::clone(&PAGE));
    let found = found.map_err(|error| Error::internal("the page cannot be made").with_source(error.to_string()))?;
    let file = found.ok_or_else(|| Error::not_found("the page has no such file"))?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) if *name == INITIALIZER => with_our_plugin(&String::from_utf8_lossy(&bytes)).into(),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(HttpResponse::Ok().content_type(file.content_type).body(bytes))
}

fn with_our_plugin(initializer: &str) -> String {
    let plugins = format!("{LAST_PLUGIN},\n      OnlyWhatIsNeeded");
    format!("{ONLY_WHAT_IS_NEEDED}\n{}", initializer.replacen(LAST_PLUGIN, &plugins, 1))
}
