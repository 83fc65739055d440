//! `/settings`: a tenant's own.

use actix_web::web::{self, Data, Json, ServiceConfig};

use crate::{
    http::{
        auth::{Granted, ManageSettings},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::access::tenants::{SettingsPatch, TenantView},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/settings").route(get_or_head().to(show)).route(web::patch().to(update)));
}

#[utoipa::path(get, path = "/api/v1/settings", tag = "settings", responses((status = 200, body = TenantView)))]
/// Shows the caller's tenant with its settings, its limits and what it has.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ManageSettings>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.services.access.settings(&caller.0).await?))
}

#[utoipa::path(patch, path = "/api/v1/settings", tag = "settings", request_body = SettingsPatch,
    responses((status = 200, body = TenantView),
        (status = 400, description = "invalid_name, invalid_threshold, invalid_margin, invalid_time_zone, invalid_retention")))]
/// Changes the settings of the caller's tenant: all but its limits, which are the operator's.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    Body { scope, params: patch }: Body<SettingsPatch, ManageSettings>,
) -> Result<Json<TenantView>, ApiError> {
    Ok(Json(state.services.access.update_settings(&scope, patch).await?))
}
