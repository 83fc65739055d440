//! The register of a session: `/sessions/{session}/review`, `/confirm`, `/records`.

use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};

use crate::{
    domain::{GroupSessionId, PersonId},
    http::{
        auth::{CorrectAttendance, Granted, ReadAttendance},
        error::ApiError,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::{Body, BodyLimit},
    },
    service::attendance::{
        record::RecordView,
        register::{AppealParams, AppealPatch, ConfirmParams, RecordPage, Review, SettledView},
    },
};

/// As many people as may be settled at once, with the longest reasons.
const MAX_CONFIRM_BYTES: u64 = 4 << 20;

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/sessions/{session}/review").route(get_or_head().to(review)))
        .service(
            resource("/sessions/{session}/confirm")
                .app_data(BodyLimit(MAX_CONFIRM_BYTES))
                .route(web::post().to(confirm)),
        )
        .service(resource("/sessions/{session}/records").route(get_or_head().to(records)))
        .service(resource("/sessions/{session}/records/{person}/undo").route(web::post().to(undo_correction)))
        .service(
            resource("/sessions/{session}/records/{person}/appeal")
                .route(web::put().to(appeal))
                .route(web::patch().to(settle)),
        );
}

#[utoipa::path(get, path = "/api/v1/sessions/{session}/review", tag = "attendance",
    params(("session" = GroupSessionId, Path), Page), responses((status = 200, body = Review)))]
/// One screen's worth of a session: who is present, who is to be confirmed, who was not seen.
pub(in crate::http) async fn review(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    session: Path<String>,
    page: Query<Page>,
) -> Result<Json<Review>, ApiError> {
    let (_, limit) = page.parse::<PersonId>()?;
    Ok(Json(state.services.attendance.review(&caller.0, session.parse()?, limit).await?))
}

#[utoipa::path(get, path = "/api/v1/sessions/{session}/records", tag = "attendance",
    params(("session" = GroupSessionId, Path), Page), responses((status = 200, body = RecordPage)))]
/// Lists a session's records with their evidence, in an order of their own. One that is there throughout a walk over the
/// pages is met exactly once.
pub(in crate::http) async fn records(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    session: Path<String>,
    page: Query<Page>,
) -> Result<Json<RecordPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.attendance.session_records(&caller.0, session.parse()?, after, limit).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/confirm", tag = "attendance",
    params(("session" = GroupSessionId, Path)), request_body = ConfirmParams,
    responses((status = 200, body = SettledView),
        (status = 400, description = "invalid_status, invalid_reason, too_many_people, said_twice"),
        (status = 404, description = "person_not_found"), (status = 409, description = "not_on_roster, session_cancelled")))]
/// Settles many people at once, all or none: confirmed, rejected, or set by hand. Also of a closed session. Each is on
/// the group's roster or has a record in the session; `details.person` of the error says who is not.
pub(in crate::http) async fn confirm(
    state: Data<ApiState>,
    session: Path<String>,
    Body { scope, params }: Body<ConfirmParams, CorrectAttendance>,
) -> Result<Json<SettledView>, ApiError> {
    Ok(Json(state.services.attendance.confirm(&scope, session.parse()?, params).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/records/{person}/undo", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("person" = PersonId, Path)),
    responses((status = 200, body = RecordView), (status = 409, description = "not_on_roster, nothing_to_undo, session_cancelled")))]
/// Takes the last word on a person back.
pub(in crate::http) async fn undo_correction(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    path: Path<(String, String)>,
) -> Result<Json<RecordView>, ApiError> {
    Ok(Json(state.services.attendance.undo_correction(&caller.0, path.0.parse()?, &path.1.parse()?).await?))
}

#[utoipa::path(put, path = "/api/v1/sessions/{session}/records/{person}/appeal", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("person" = PersonId, Path)), request_body = AppealParams,
    responses((status = 200, body = RecordView), (status = 400, description = "invalid_reason"),
        (status = 409, description = "appeal_open, not_on_roster, session_cancelled")))]
/// Notes what a person has to say to what counts.
pub(in crate::http) async fn appeal(
    state: Data<ApiState>,
    path: Path<(String, String)>,
    Body { scope, params }: Body<AppealParams, CorrectAttendance>,
) -> Result<Json<RecordView>, ApiError> {
    Ok(Json(state.services.attendance.appeal(&scope, path.0.parse()?, &path.1.parse()?, &params).await?))
}

#[utoipa::path(patch, path = "/api/v1/sessions/{session}/records/{person}/appeal", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("person" = PersonId, Path)), request_body = AppealPatch,
    responses((status = 200, body = RecordView), (status = 404, description = "appeal_not_found"),
        (status = 409, description = "not_on_roster, session_cancelled")))]
/// Answers an appeal; what counts is corrected by itself.
pub(in crate::http) async fn settle(
    state: Data<ApiState>,
    path: Path<(String, String)>,
    Body { scope, params: patch }: Body<AppealPatch, CorrectAttendance>,
) -> Result<Json<RecordView>, ApiError> {
    Ok(Json(state.services.attendance.settle_appeal(&scope, path.0.parse()?, &path.1.parse()?, &patch).await?))
}
