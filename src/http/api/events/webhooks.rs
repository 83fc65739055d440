//! `/webhooks`: where a tenant's events are sent.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::WebhookId,
    error::Error,
    http::{
        auth::{Granted, ManageWebhooks},
        error::ApiError,
        idempotency::creating_secret,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::events::webhooks::{
        DeadLetterPage, NewWebhook, ReplayView, ReplayWanted, WebhookList, WebhookPatch, WebhookView, WebhookWithSecret,
    },
};

/// The most dead letters of a page.
const MAX_PAGE: usize = 1000;

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/webhooks")
                .route(creating_secret::<ManageWebhooks>(web::post().to(create)))
                .route(get_or_head().to(list)),
        )
        .service(
            resource("/webhooks/{webhook}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        )
        .service(resource("/webhooks/{webhook}/dead").route(get_or_head().to(dead)))
        .service(resource("/webhooks/{webhook}/replay").route(web::post().to(replay)));
}

/// Which page of dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeadPage {
    /// `next` of the page before.
    after: Option<u64>,
    /// Entries, 1–1000; 100 if missing.
    limit: Option<usize>,
}

#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = WebhookWithSecret),
        (status = 400, description = "invalid_url, webhook_address_refused, invalid_kind, too_many_groups, invalid_id"),
        (status = 404, description = "group_not_found"), (status = 409, description = "limit_reached")))]
/// Makes a webhook, which is told of what happens from here on. Its secret is shown this once.
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewWebhook, ManageWebhooks>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(state.services.events.create_webhook(&scope, new).await?))
}

#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, body = WebhookList)))]
/// Lists webhooks, without their secrets.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ManageWebhooks>,
) -> Result<Json<WebhookList>, ApiError> {
    Ok(Json(state.services.events.webhooks(&caller.0).await?))
}

#[utoipa::path(get, path = "/api/v1/webhooks/{webhook}", tag = "webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 200, body = WebhookView)))]
/// Shows a webhook and how far it has come.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ManageWebhooks>,
    webhook: Path<String>,
) -> Result<Json<WebhookView>, ApiError> {
    Ok(Json(state.services.events.webhook(&caller.0, webhook.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/webhooks/{webhook}", tag = "webhooks", params(("webhook" = WebhookId, Path)),
    request_body = WebhookPatch,
    responses((status = 200, body = WebhookView),
        (status = 400, description = "invalid_url, webhook_address_refused, invalid_kind, too_many_groups"),
        (status = 404, description = "group_not_found")))]
/// Changes a webhook.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    webhook: Path<String>,
    Body { scope, params: patch }: Body<WebhookPatch, ManageWebhooks>,
) -> Result<Json<WebhookView>, ApiError> {
    Ok(Json(state.services.events.update_webhook(&scope, webhook.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook}", tag = "webhooks", params(("webhook" = WebhookId, Path)),
    responses((status = 204)))]
/// Removes a webhook with its dead letters.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManageWebhooks>,
    webhook: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.events.delete_webhook(&caller.0, webhook.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/webhooks/{webhook}/dead", tag = "webhooks",
    params(("webhook" = WebhookId, Path), DeadPage), responses((status = 200, body = DeadLetterPage)))]
/// Lists the events that could not be delivered.
pub(in crate::http) async fn dead(
    state: Data<ApiState>,
    caller: Granted<ManageWebhooks>,
    webhook: Path<String>,
    page: Query<DeadPage>,
) -> Result<Json<DeadLetterPage>, ApiError> {
    let limit = page.limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid(format!("limit is 1 to {MAX_PAGE}")).with_code("invalid_limit").into());
    }
    Ok(Json(state.services.events.dead_letters(&caller.0, webhook.parse()?, page.after, limit).await?))
}

#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/replay", tag = "webhooks",
    params(("webhook" = WebhookId, Path)), request_body = ReplayWanted,
    responses((status = 200, body = ReplayView), (status = 404, description = "dead_letter_not_found")))]
/// Sends dead letters again, each once and in order; those that do not arrive stay.
pub(in crate::http) async fn replay(
    state: Data<ApiState>,
    webhook: Path<String>,
    Body { scope, params: wanted }: Body<ReplayWanted, ManageWebhooks>,
) -> Result<Json<ReplayView>, ApiError> {
    Ok(Json(state.services.events.replay(&scope, webhook.parse()?, wanted).await?))
}
