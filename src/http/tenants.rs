//! `/tenants`: the operator's.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiState, auth::Operator, error::ApiError, get_or_head, idempotency::creating_secret, resource};
use crate::{
    domain::TenantId,
    service::tenants::{TenantPatch, TenantView},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/tenants").route(creating_secret(web::post().to(create))))
        .service(resource("/tenants/{tenant}").route(get_or_head().to(show)).route(web::patch().to(update)));
}

/// What a new tenant takes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// Unique on the server; made up if missing.
    id: Option<TenantId>,
    /// 1–200 characters.
    name: String,
}

/// A new tenant and its key, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TenantWithKey {
    /// Unique on the server.
    id: TenantId,
    /// 1–200 characters.
    name: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Send it as `Authorization: Bearer KEY`; it cannot be shown again.
    key: String,
}

#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, body = TenantWithKey), (status = 400, description = "invalid_id, invalid_name"), (status = 409, description = "tenant_exists")))]
/// Makes a tenant and its key (operator's key).
pub(super) async fn create(
    state: Data<ApiState>,
    operator: Operator,
    new: Json<NewTenant>,
) -> Result<HttpResponse, ApiError> {
    let NewTenant { id, name } = new.into_inner();
    let (tenant, key) = state.service.create_tenant(&operator.0, id, &name).await?;
    Ok(HttpResponse::Created().json(TenantWithKey {
        id: tenant.id,
        name: tenant.name,
        created_at: tenant.created_at,
        key: key.reveal().to_owned(),
    }))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    responses((status = 200, body = TenantView)))]
/// Shows a tenant with its limits and what it has (operator's key).
pub(super) async fn show(
    state: Data<ApiState>,
    operator: Operator,
    tenant: Path<String>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.service.tenant(&operator.0, &tenant.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    request_body = TenantPatch, responses((status = 200, body = TenantView), (status = 400, description = "invalid_name")))]
/// Changes a tenant's name, limits or way of searching (operator's key).
pub(super) async fn update(
    state: Data<ApiState>,
    operator: Operator,
    tenant: Path<String>,
    patch: Json<TenantPatch>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.service.update_tenant(&operator.0, &tenant.parse()?, patch.into_inner()).await?))
}
