//! `/keys`: a tenant's admins manage its API keys, operators the server's.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};

use crate::{
    domain::KeyId,
    http::{
        auth::{Granted, ManageAccess},
        error::ApiError,
        idempotency::creating_secret,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::access::keys::{KeyPage, KeyWithSecret, NewKey},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/keys")
                .route(creating_secret::<ManageAccess>(web::post().to(create)))
                .route(get_or_head().to(list)),
        )
        .service(resource("/keys/{key}").route(web::delete().to(revoke)))
        .service(resource("/keys/{key}/rotate").route(web::post().to(rotate)));
}

#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = NewKey,
    responses((status = 201, body = KeyWithSecret), (status = 400, description = "invalid_role, invalid_expiry, invalid_name, invalid_offline_hours"),
        (status = 404, description = "group_not_found"), (status = 409, description = "limit_reached")))]
/// Makes an API key, which is shown this once.
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewKey, ManageAccess>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(state.services.access.create_key(&scope, new).await?))
}

#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(Page),
    responses((status = 200, body = KeyPage)))]
/// Lists API keys in the order of their making, without their secrets.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    page: Query<Page>,
) -> Result<Json<KeyPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.access.keys(&caller.0, after, limit).await?))
}

#[utoipa::path(delete, path = "/api/v1/keys/{key}", tag = "keys", params(("key" = KeyId, Path)),
    responses((status = 204)))]
/// Revokes an API key: its next request is refused, and whatever those under way, and its jobs, would still do.
pub(in crate::http) async fn revoke(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    key: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.access.revoke_key(&caller.0, key.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/keys/{key}/rotate", tag = "keys", params(("key" = KeyId, Path)),
    responses((status = 200, body = KeyWithSecret)))]
/// Gives an API key another secret, which is shown this once; the old one is refused from now on. It stays the same key:
/// its jobs go on.
pub(in crate::http) async fn rotate(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    key: Path<String>,
) -> Result<Json<KeyWithSecret>, ApiError> {
    Ok(Json(state.services.access.rotate_key(&caller.0, key.parse()?).await?))
}
