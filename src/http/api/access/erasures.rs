//! `/erasures`: what was removed for good, and whether it has left the disk.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query, ServiceConfig},
};

use crate::{
    http::{
        auth::{Granted, ManageAccess},
        error::ApiError,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::access::erasures::ErasurePage,
    store::Erasure,
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/erasures").route(get_or_head().to(list)));
}

#[utoipa::path(get, path = "/api/v1/erasures", tag = "erasures", params(Page),
    responses((status = 200, body = ErasurePage)))]
/// Lists the people erased from the tenant, or with the operator's key the tenants erased from the server, without
/// saying who they were.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    page: Query<Page>,
) -> Result<Json<ErasurePage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.access.erasures(&caller.0, after, limit).await?))
}

/// The answer to a deletion, with the id of its erasure.
pub(in crate::http) fn erased(erasure: Option<&Erasure>) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    if let Some(erasure) = erasure {
        answer.insert_header(("erasure-id", erasure.id.to_string()));
    }
    answer.finish()
}
