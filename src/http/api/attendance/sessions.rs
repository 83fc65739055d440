//! `/sessions` and those of a group.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::{GroupId, GroupSessionId, attendance::session::Step, wall},
    http::{
        auth::{CorrectAttendance, Granted, ReadAttendance},
        error::ApiError,
        idempotency::creating,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::attendance::sessions::{
        CloseParams, ClosingView, NewSession, ReopenParams, SessionList, SessionPatch, SessionView,
    },
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/groups/{group}/sessions")
                .route(creating::<CorrectAttendance>(web::post().to(create)))
                .route(get_or_head().to(list)),
        )
        .service(resource("/groups/{group}/sessions/current").route(get_or_head().to(current)))
        .service(
            resource("/sessions/{session}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(cancel)),
        )
        .service(resource("/sessions/{session}/open").route(web::post().to(open)))
        .service(resource("/sessions/{session}/restore").route(web::post().to(restore)))
        .service(resource("/sessions/{session}/close").route(web::post().to(close)))
        .service(resource("/sessions/{session}/reopen").route(web::post().to(reopen)));
}

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Dates {
    /// First local date, YYYY-MM-DD; six days before `until` if missing, without that today.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    from: Option<Date>,
    /// Last local date; six days later if missing; at most 366 days in all.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    until: Option<Date>,
}

/// When.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct When {
    /// The moment; now if missing.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

#[utoipa::path(post, path = "/api/v1/groups/{group}/sessions", tag = "sessions", params(("group" = GroupId, Path)),
    request_body = NewSession, responses((status = 201, body = SessionView),
        (status = 400, description = "invalid_name, invalid_source, invalid_times"),
        (status = 409, description = "too_many_sessions")))]
/// Plans a session beside the timetable.
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    group: Path<String>,
    Body { scope, params: new }: Body<NewSession, CorrectAttendance>,
) -> Result<HttpResponse, ApiError> {
    let made = state.services.attendance.create_session(&scope, &group.parse()?, new).await?;
    Ok(HttpResponse::Created().json(made))
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/sessions", tag = "sessions",
    params(("group" = GroupId, Path), Dates),
    responses((status = 200, body = SessionList), (status = 400, description = "invalid_range")))]
/// Lists a group's sessions by start, those of its timetable too.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    group: Path<String>,
    dates: Query<Dates>,
) -> Result<Json<SessionList>, ApiError> {
    Ok(Json(state.services.attendance.sessions(&caller.0, &group.parse()?, dates.from, dates.until).await?))
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/sessions/current", tag = "sessions",
    params(("group" = GroupId, Path), When),
    responses((status = 200, body = SessionView), (status = 400, description = "invalid_times"),
        (status = 409, description = "no_session")))]
/// Shows the session to which a photo of that moment belongs.
pub(in crate::http) async fn current(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    group: Path<String>,
    when: Query<When>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.current_session(&caller.0, &group.parse()?, when.at).await?))
}

#[utoipa::path(get, path = "/api/v1/sessions/{session}", tag = "sessions", params(("session" = GroupSessionId, Path)),
    responses((status = 200, body = SessionView)))]
/// Shows a session.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    session: Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.session(&caller.0, session.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/sessions/{session}", tag = "sessions",
    params(("session" = GroupSessionId, Path)), request_body = SessionPatch,
    responses((status = 200, body = SessionView), (status = 400, description = "invalid_name, invalid_source, invalid_times"),
        (status = 409, description = "session_closed, too_many_sessions")))]
/// Changes or moves a session that is not closed.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    session: Path<String>,
    Body { scope, params: patch }: Body<SessionPatch, CorrectAttendance>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.update_session(&scope, session.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/sessions/{session}", tag = "sessions",
    params(("session" = GroupSessionId, Path)),
    responses((status = 200, body = SessionView), (status = 409, description = "session_closed, session_open")))]
/// Cancels a session that has not begun.
pub(in crate::http) async fn cancel(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    session: Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.step_session(&caller.0, session.parse()?, Step::Cancel).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/restore", tag = "sessions",
    params(("session" = GroupSessionId, Path)),
    responses((status = 200, body = SessionView), (status = 409, description = "session_closed, session_open")))]
/// Takes the cancelling of a session back.
pub(in crate::http) async fn restore(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    session: Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.step_session(&caller.0, session.parse()?, Step::Restore).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/open", tag = "sessions",
    params(("session" = GroupSessionId, Path)),
    responses((status = 200, body = SessionView), (status = 409, description = "session_closed, session_cancelled")))]
/// Opens a session; the first mark does it too.
pub(in crate::http) async fn open(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    session: Path<String>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.step_session(&caller.0, session.parse()?, Step::Open).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/close", tag = "sessions",
    params(("session" = GroupSessionId, Path)), request_body = CloseParams,
    responses((status = 200, body = ClosingView),
        (status = 409, description = "session_closed, session_cancelled, session_not_begun")))]
/// Closes a session: who was not seen is absent. While an expected source is missing nothing happens, and before it begins
/// it is refused, unless forced.
pub(in crate::http) async fn close(
    state: Data<ApiState>,
    session: Path<String>,
    Body { scope, params }: Body<CloseParams, CorrectAttendance>,
) -> Result<Json<ClosingView>, ApiError> {
    Ok(Json(state.services.attendance.close_session(&scope, session.parse()?, &params).await?))
}

#[utoipa::path(post, path = "/api/v1/sessions/{session}/reopen", tag = "sessions",
    params(("session" = GroupSessionId, Path)), request_body = ReopenParams,
    responses((status = 200, body = SessionView), (status = 400, description = "invalid_reason"),
        (status = 409, description = "session_not_closed, session_cancelled")))]
/// Opens a closed session again; nobody is absent any more until it is closed.
pub(in crate::http) async fn reopen(
    state: Data<ApiState>,
    session: Path<String>,
    Body { scope, params }: Body<ReopenParams, CorrectAttendance>,
) -> Result<Json<SessionView>, ApiError> {
    Ok(Json(state.services.attendance.reopen_session(&scope, session.parse()?, &params).await?))
}
