//! For operators, at the root: health and metrics.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    auth,
    error::ApiError,
    route::{get_or_head, resource},
    state::ApiState,
};
use crate::{domain::Permission, telemetry::Metrics};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.configure(health).service(resource("/metrics").route(get_or_head().to(metrics)));
}

/// Those that a listener of their own serves as well.
pub(super) fn health(config: &mut ServiceConfig) {
    config
        .service(resource("/health/live").route(get_or_head().to(live)))
        .service(resource("/health/ready").route(get_or_head().to(ready)));
}

/// The process answers.
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "live" }))
}

/// Photos can be served: no stage was given up, the store writes, nobody asked to stop.
async fn ready(state: Data<ApiState>) -> HttpResponse {
    let report = state.health.report();
    let (is_healthy, has_room) = (state.services.store().is_healthy(), state.services.store().has_room());
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

/// Takes a key of the role `metrics`, an admin's or an operator's: whether a client is on this machine cannot be told from
/// its address, as a proxy may be. One tenant's key does not show who the others are.
async fn metrics(
    request: HttpRequest,
    state: Data<ApiState>,
    wanted: Query<MetricsWanted>,
) -> Result<HttpResponse, ApiError> {
    let access = auth::authenticated(&request).await?;
    let asked = if wanted.tenants { Permission::ReadTenantsMetrics } else { Permission::ReadMetrics };
    access.require(asked, None)?;
    let tools = state.services.pipeline().tools();
    state.metrics.budget_bytes.set(tools.budget.used() as i64);
    let galleries: Vec<(String, usize, usize)> = tools
        .galleries
        .loaded_tenants()
        .into_iter()
        .map(|(tenant, gallery)| (tenant.into(), gallery.memory_bytes(), gallery.len()))
        .collect();
    state.metrics.gallery_bytes.set(galleries.iter().map(|&(_, bytes, _)| bytes as i64).sum());
    state.metrics.gallery_faces.set(galleries.iter().map(|&(.., faces)| faces as i64).sum());
    state.metrics.webhook_behind_seconds.set(state.services.events.webhooks_behind().as_secs());
    for stage in state.supervisor.snapshot() {
        let inside = (stage.queued + stage.working) as i64;
        state.metrics.stage_in_flight.with_label_values(&[stage.name]).set(inside);
    }
    state.services.access.count_pending_erasures().await?;
    let mut text = state.metrics.render()?;
    if wanted.tenants {
        text += &Metrics::render_tenants(&galleries)?;
    }
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}
