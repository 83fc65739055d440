//! For operators, at the root: health, metrics, the API's description and a page to try it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, ServiceConfig},
};
use serde_json::json;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{ApiState, auth, error::ApiError, get_or_head, openapi::ApiDoc, resource};
use crate::error::ErrorKind;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").route(get_or_head().to(live)))
        .service(resource("/health/ready").route(get_or_head().to(ready)))
        .service(resource("/metrics").route(get_or_head().to(metrics)))
        .service(resource("/docs").route(get_or_head().to(to_docs)))
        .service(SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", ApiDoc::openapi()).config(docs_page()));
}

/// The page is made of our own files alone; its default would show the API's address to a validator on the internet.
fn docs_page() -> Config<'static> {
    Config::default().validator_url("none")
}

/// The process answers, and says which start of the server it is.
async fn live(state: Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live", "instance": &*state.instance }))
}

/// Photos can be served: no stage was given up, the store writes, nobody asked to stop.
async fn ready(state: Data<ApiState>) -> HttpResponse {
    let report = state.health.report();
    let store_writes = state.service.store().is_healthy();
    let stages = state.supervisor.snapshot();
    if report.ready && store_writes {
        HttpResponse::Ok().json(json!({ "status": "ready", "stages": stages }))
    } else {
        let body =
            json!({ "status": "unready", "reasons": report.reasons, "store_writes": store_writes, "stages": stages });
        HttpResponse::ServiceUnavailable().json(body)
    }
}

/// Public on loopback; elsewhere, also behind a proxy on this machine, it takes a key: a tenant's or the operator's.
async fn metrics(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let proxied = ["forwarded", "x-forwarded-for"].iter().any(|name| request.headers().contains_key(*name));
    let local = !proxied && request.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    if !local {
        match state.service.authenticate(&auth::key(&request)?).await {
            Err(error) if error.kind() != ErrorKind::Forbidden => return Err(error.into()),
            _ => {}
        }
    }
    let tools = state.service.pipeline().tools();
    state.metrics.budget_bytes.set(tools.budget.used() as i64);
    let faces: usize = tools.galleries.loaded_tenants().iter().map(|(_, gallery)| gallery.len()).sum();
    state.metrics.gallery_faces.set(faces as i64);
    for stage in state.supervisor.snapshot() {
        let inside = (stage.queued + stage.working) as i64;
        state.metrics.stage_in_flight.with_label_values(&[stage.name]).set(inside);
    }
    let text = state.metrics.render()?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}
