//! `/backup`, `/backups`, `/check`, `/store/rewrite`: the operator's care for the store.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ContentType,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::BackupId,
    http::{
        auth::{Granted, Operate, while_let_in},
        error::ApiError,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::{access::erasures::RewriteView, operations::backup::BackupPage},
    store::CheckReport,
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/backup").route(web::get().to(backup)))
        .service(resource("/backups").route(get_or_head().to(backups)))
        .service(resource("/backups/{backup}").route(web::delete().to(strike)))
        .service(resource("/check").route(web::get().to(check)))
        .service(resource("/store/rewrite").route(web::post().to(rewrite)));
}

/// What is said of a backup.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct BackupQuery {
    /// What to call it in the list, such as its file's name; up to 200 characters.
    name: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/backup", tag = "maintenance", params(BackupQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 400, description = "invalid_name"), (status = 409, description = "backup_running, rewrite_running"), (status = 429, description = "copy_outrun")))]
/// Copies everything on the server as of one moment (operator's key), for `rollcall restore`. Ends early if it fails:
/// the file's own checksums tell a whole one.
pub(in crate::http) async fn backup(
    request: HttpRequest,
    state: Data<ApiState>,
    operator: Granted<Operate>,
    query: Query<BackupQuery>,
) -> Result<HttpResponse, ApiError> {
    let BackupQuery { name } = query.into_inner();
    let pieces = while_let_in(&request, state.services.operations.backup(&operator.0, name).await?).await?;
    Ok(HttpResponse::Ok().content_type(ContentType::octet_stream()).streaming(pieces))
}

#[utoipa::path(get, path = "/api/v1/check", tag = "maintenance",
    responses((status = 200, body = CheckReport)))]
/// Reads everything on the server and says what is wrong (operator's key). Takes seconds for a million samples.
pub(in crate::http) async fn check(
    state: Data<ApiState>,
    operator: Granted<Operate>,
) -> Result<Json<CheckReport>, ApiError> {
    Ok(Json(state.services.operations.check(&operator.0).await?))
}

#[utoipa::path(get, path = "/api/v1/backups", tag = "maintenance", params(Page),
    responses((status = 200, body = BackupPage)))]
/// Lists the backups that were given whole and were not struck off (operator's key).
pub(in crate::http) async fn backups(
    state: Data<ApiState>,
    operator: Granted<Operate>,
    page: Query<Page>,
) -> Result<Json<BackupPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.operations.backups(&operator.0, after, limit).await?))
}

#[utoipa::path(delete, path = "/api/v1/backups/{backup}", tag = "maintenance",
    params(("backup" = BackupId, Path)), responses((status = 204)))]
/// Takes a backup off the list, as its file was destroyed (operator's key).
pub(in crate::http) async fn strike(
    state: Data<ApiState>,
    operator: Granted<Operate>,
    backup: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.operations.strike_backup(&operator.0, backup.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/store/rewrite", tag = "maintenance",
    responses((status = 200, body = RewriteView), (status = 409, description = "rewrite_running, backup_running"),
        (status = 429, description = "copy_outrun"), (status = 507, description = "not_enough_space, disk_full")))]
/// Writes the store afresh, so that what was removed from it leaves the disk (operator's key). Answers when it has; all
/// else goes on meanwhile.
pub(in crate::http) async fn rewrite(
    state: Data<ApiState>,
    operator: Granted<Operate>,
) -> Result<Json<RewriteView>, ApiError> {
    Ok(Json(state.services.access.rewrite_store(&operator.0).await?))
}
