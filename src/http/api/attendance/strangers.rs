//! `/sessions/{session}/strangers`: the unknown faces of a session, which its review lists.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};

use crate::{
    domain::{GroupSessionId, StrangerId},
    http::{
        auth::{CorrectAttendance, Granted},
        error::ApiError,
        route::resource,
        state::ApiState,
        upload::Body,
    },
    service::attendance::{record::RecordView, strangers::NameParams},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/sessions/{session}/strangers/{stranger}").route(web::delete().to(dismiss)))
        .service(resource("/sessions/{session}/strangers/{stranger}/name").route(web::post().to(name)));
}

#[utoipa::path(delete, path = "/api/v1/sessions/{session}/strangers/{stranger}", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("stranger" = StrangerId, Path)),
    responses((status = 204), (status = 404, description = "stranger_not_found")))]
/// Forgets an unknown face of a session: it is nobody of ours.
pub(in crate::http) async fn dismiss(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.services.attendance.dismiss_stranger(&caller.0, path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/strangers/{stranger}/name", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("stranger" = StrangerId, Path)), request_body = NameParams,
    responses((status = 200, body = RecordView), (status = 404, description = "stranger_not_found, person_not_found"),
        (status = 409, description = "not_on_roster, session_cancelled")))]
/// Says whose an unknown face is: they were there when it was seen. It can be undone as any correction.
pub(in crate::http) async fn name(
    state: Data<ApiState>,
    path: Path<(String, String)>,
    Body { scope, params }: Body<NameParams, CorrectAttendance>,
) -> Result<Json<RecordView>, ApiError> {
    Ok(Json(state.services.attendance.name_stranger(&scope, path.0.parse()?, path.1.parse()?, &params).await?))
}
