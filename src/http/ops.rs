//! For operators, at the root: health, metrics, the API's description and a page to try it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{
    ApiState,
    auth::{self, Operate},
    error::ApiError,
    get_or_head, openapi, resource,
};
use crate::{domain::Permission, telemetry::Metrics};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").route(get_or_head().to(live)))
        .service(resource("/health/ready").route(get_or_head().to(ready)))
        .service(resource("/metrics").route(get_or_head().to(metrics)))
        .service(resource("/docs").route(get_or_head().to(to_docs)))
        .service(
            SwaggerUi::new("/docs/{_:.*}")
                .external_url_unchecked("/openapi.json", openapi::description())
                .config(docs_page()),
        );
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
    let (is_healthy, has_room) = (state.service.store().is_healthy(), state.service.store().has_room());
    let is_ready = report.ready && is_healthy;
    let body = json!({
        "status": if is_ready { "ready" } else { "unready" },
        "reasons": report.reasons,
        // Without room reads go on, and writes as soon as there is some.
        "store_writes": is_healthy && has_room,
        "stages": state.supervisor.snapshot(),
    });
    if is_ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

/// What `/metrics` is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsWanted {
    /// Also those that have one series a tenant.
    #[serde(default)]
    tenants: bool,
}

/// Public on loopback; elsewhere, also behind a proxy on this machine, it takes an admin's or an operator's key.
async fn metrics(
    request: HttpRequest,
    state: Data<ApiState>,
    wanted: Query<MetricsWanted>,
) -> Result<HttpResponse, ApiError> {
    let proxied = ["forwarded", "x-forwarded-for"].iter().any(|name| request.headers().contains_key(*name));
    let local = !proxied && request.peer_addr().is_some_and(|peer| peer.ip().is_loopback());
    if !local && wanted.tenants {
        // One tenant's key does not show who the others are.
        auth::permitted::<Operate>(&request).await?;
    } else if !local {
        let access = auth::authenticated(&request).await?;
        access.require(Permission::ManageAccess, None)?;
    }
    let tools = state.service.pipeline().tools();
    state.metrics.budget_bytes.set(tools.budget.used() as i64);
    let galleries: Vec<(String, usize, usize)> = tools
        .galleries
        .loaded_tenants()
        .into_iter()
        .map(|(tenant, gallery)| (tenant.into(), gallery.memory_bytes(), gallery.len()))
        .collect();
    state.metrics.gallery_bytes.set(galleries.iter().map(|&(_, bytes, _)| bytes as i64).sum());
    state.metrics.gallery_faces.set(galleries.iter().map(|&(.., faces)| faces as i64).sum());
    state.metrics.webhook_behind_seconds.set(state.service.webhooks_behind().as_secs());
    for stage in state.supervisor.snapshot() {
        let inside = (stage.queued + stage.working) as i64;
        state.metrics.stage_in_flight.with_label_values(&[stage.name]).set(inside);
    }
    state.service.count_pending_erasures().await?;
    let mut text = state.metrics.render()?;
    if wanted.tenants {
        text += &Metrics::render_tenants(&galleries)?;
    }
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}
