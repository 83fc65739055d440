//! `/groups/{group}/attendance`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use jiff::civil::Date;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::{GroupId, RecordId, wall},
    http::{
        auth::{CorrectAttendance, Granted, ReadAttendance},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::attendance::record::AttendanceView,
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/groups/{group}/attendance").route(get_or_head().to(list)))
        .service(resource("/groups/{group}/attendance/{record}").route(web::delete().to(undo)));
}

/// Which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Day {
    /// Local date of the group, YYYY-MM-DD; today if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    date: Option<Date>,
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/attendance", tag = "attendance",
    params(("group" = GroupId, Path), Day),
    responses((status = 200, body = AttendanceView)))]
/// Lists the records of a day's sessions: who was marked, and once a session is closed, everybody.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ReadAttendance>,
    group: Path<String>,
    day: Query<Day>,
) -> Result<Json<AttendanceView>, ApiError> {
    Ok(Json(state.services.attendance.attendance(&caller.0, &group.parse()?, day.date).await?))
}

#[utoipa::path(delete, path = "/api/v1/groups/{group}/attendance/{record}", tag = "attendance",
    params(("group" = GroupId, Path), ("record" = RecordId, Path)),
    responses((status = 204), (status = 409, description = "session_closed")))]
/// Takes a mark back with its evidence; the person can be marked again. Not in a closed session.
pub(in crate::http) async fn undo(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.services.attendance.undo_mark(&caller.0, &path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
