//! `/backup`, `/check`: the operator's care for the store.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, Json, ServiceConfig},
};

use super::{
    ApiState,
    auth::{Granted, Operate},
    error::ApiError,
    resource,
};
use crate::store::CheckReport;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/backup").route(web::get().to(backup)))
        .service(resource("/check").route(web::get().to(check)));
}

#[utoipa::path(get, path = "/api/v1/backup", tag = "maintenance",
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 409, description = "backup_running")))]
/// Copies everything on the server as of one moment (operator's key), for `rollcall restore`. Ends early if it fails:
/// the file's own checksums tell a whole one.
pub(super) async fn backup(state: Data<ApiState>, operator: Granted<Operate>) -> Result<HttpResponse, ApiError> {
    let pieces = state.service.backup(&operator.0)?;
    Ok(HttpResponse::Ok().content_type(ContentType::octet_stream()).streaming(pieces))
}

#[utoipa::path(get, path = "/api/v1/check", tag = "maintenance",
    responses((status = 200, body = CheckReport)))]
/// Reads everything on the server and says what is wrong (operator's key). Takes seconds for a million samples.
pub(super) async fn check(state: Data<ApiState>, operator: Granted<Operate>) -> Result<Json<CheckReport>, ApiError> {
    Ok(Json(state.service.check(&operator.0).await?))
}
