//! `/tenants`: the operator's.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::erasures::erased;
use crate::{
    domain::{ErasureId, TenantId},
    http::{
        auth::{Granted, Operate},
        error::ApiError,
        idempotency::creating_secret,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::access::tenants::{TenantPage, TenantPatch, TenantView},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/tenants")
                .route(creating_secret::<Operate>(web::post().to(create)))
                .route(get_or_head().to(list)),
        )
        .service(
            resource("/tenants/{tenant}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        );
}

/// What a new tenant takes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewTenant {
    /// Unique on the server; made up if missing.
    id: Option<TenantId>,
    /// 1–200 characters.
    name: String,
}

/// A new tenant and its key, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct TenantWithKey {
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
    responses((status = 201, body = TenantWithKey), (status = 400, description = "invalid_id, invalid_name"), (status = 409, description = "tenant_exists, tenant_deleting")))]
/// Makes a tenant and its key (operator's key).
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewTenant, Operate>,
) -> Result<HttpResponse, ApiError> {
    let NewTenant { id, name } = new;
    let (tenant, key) = state.services.access.create_tenant(&scope, id, &name).await?;
    Ok(HttpResponse::Created().json(TenantWithKey {
        id: tenant.id,
        name: tenant.name,
        created_at: tenant.created_at,
        key: key.reveal().to_owned(),
    }))
}

#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", params(Page),
    responses((status = 200, body = TenantPage)))]
/// Lists tenants by id (operator's key).
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    operator: Granted<Operate>,
    page: Query<Page>,
) -> Result<Json<TenantPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.access.tenants(&operator.0, after.as_ref(), limit).await?))
}

#[utoipa::path(get, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    responses((status = 200, body = TenantView)))]
/// Shows a tenant with its limits and what it has (operator's key).
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    operator: Granted<Operate>,
    tenant: Path<String>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.services.access.tenant(&operator.0, &tenant.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    request_body = TenantPatch, responses((status = 200, body = TenantView),
        (status = 400, description = "invalid_name, invalid_threshold, invalid_margin, invalid_time_zone, invalid_retention")))]
/// Renames or suspends a tenant, or changes its limits and settings (operator's key).
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    tenant: Path<String>,
    Body { scope, params: patch }: Body<TenantPatch, Operate>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.services.access.update_tenant(&scope, &tenant.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}", tag = "tenants", params(("tenant" = TenantId, Path)),
    responses((status = 204, headers(("erasure-id" = ErasureId, description = "See `GET /erasures`.")))))]
/// Deletes a tenant with all its data and its keys (operator's key). Answers when all is gone, which takes a while
/// where there is much; nobody gets in meanwhile.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    operator: Granted<Operate>,
    tenant: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let erasure = state.services.access.delete_tenant(&operator.0, &tenant.parse()?).await?;
    Ok(erased(erasure.as_ref()))
}
