//! `/tenants`: the operator's.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiState, auth::Operator, error::ApiError, resource};
use crate::domain::TenantId;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/tenants").route(web::post().to(create)));
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
    responses((status = 201, body = TenantWithKey), (status = "4XX", body = super::error::ErrorBody)))]
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
