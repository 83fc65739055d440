//! `/groups/{group}/timetable` and `/holidays`.

use actix_web::web::{self, Data, Json, Path, ServiceConfig};

use crate::{
    domain::GroupId,
    http::{
        auth::{Granted, ListGroups, ManageGroups, ReadGroup},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::attendance::timetables::{HolidaysView, TimetableView},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/groups/{group}/timetable").route(get_or_head().to(timetable)).route(web::put().to(replace)))
        .service(resource("/holidays").route(get_or_head().to(holidays)).route(web::put().to(replace_holidays)));
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/timetable", tag = "sessions", params(("group" = GroupId, Path)),
    responses((status = 200, body = TimetableView)))]
/// Shows when a group meets.
pub(in crate::http) async fn timetable(
    state: Data<ApiState>,
    caller: Granted<ReadGroup>,
    group: Path<String>,
) -> Result<Json<TimetableView>, ApiError> {
    Ok(Json(state.services.attendance.timetable(&caller.0, &group.parse()?).await?))
}

#[utoipa::path(put, path = "/api/v1/groups/{group}/timetable", tag = "sessions", params(("group" = GroupId, Path)),
    request_body = TimetableView, responses((status = 200, body = TimetableView),
        (status = 400, description = "invalid_timetable, invalid_holiday, invalid_source, invalid_name")))]
/// Says when a group meets. Sessions to which something has happened stay as they are.
pub(in crate::http) async fn replace(
    state: Data<ApiState>,
    group: Path<String>,
    Body { scope, params: new }: Body<TimetableView, ManageGroups>,
) -> Result<Json<TimetableView>, ApiError> {
    Ok(Json(state.services.attendance.put_timetable(&scope, &group.parse()?, new).await?))
}

#[utoipa::path(get, path = "/api/v1/holidays", tag = "sessions", responses((status = 200, body = HolidaysView)))]
/// Lists the days on which no group meets.
pub(in crate::http) async fn holidays(
    state: Data<ApiState>,
    caller: Granted<ListGroups>,
) -> Result<Json<HolidaysView>, ApiError> {
    Ok(Json(state.services.attendance.holidays(&caller.0.tenant_scope()?).await?))
}

#[utoipa::path(put, path = "/api/v1/holidays", tag = "sessions", request_body = HolidaysView,
    responses((status = 200, body = HolidaysView), (status = 400, description = "invalid_holiday, invalid_name")))]
/// Says on which days no group meets.
pub(in crate::http) async fn replace_holidays(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<HolidaysView, ManageGroups>,
) -> Result<Json<HolidaysView>, ApiError> {
    Ok(Json(state.services.attendance.put_holidays(&scope, new).await?))
}
