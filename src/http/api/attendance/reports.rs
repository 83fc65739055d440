//! `/reports/attendance` and what is made of it: tables, people at risk, a heat map.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CONTENT_DISPOSITION,
    web::{Data, Query, ServiceConfig},
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::{Access, GroupId, wall},
    error::Result,
    http::{
        auth::{self, Granted, ReportAttendance},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
    },
    reports::{By, Period, heatmap::HeatCell, json::ReportView, svg, writer::Format},
    service::attendance::reports::{Report, ReportParams},
};

/// Who attends less than this is at risk, unless the request says otherwise.
const AT_RISK: f64 = 0.8;

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/reports/attendance").route(get_or_head().to(attendance)))
        .service(resource("/reports/at-risk").route(get_or_head().to(at_risk)))
        .service(resource("/reports/heatmap").route(get_or_head().to(heat_map)));
}

/// Of what a report is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ReportQuery {
    /// One group; all that the caller may read if missing.
    group: Option<String>,
    /// The first local date of its sessions, YYYY-MM-DD; half a year before the last if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    from: Option<Date>,
    /// The last, within a year; today where the tenant is if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    until: Option<Date>,
    /// A line is of a `person`, of a person with their status in each session (`matrix`), of a `session` or of a
    /// `group`; `person` if missing.
    by: Option<By>,
    /// `json` if missing.
    format: Option<Format>,
}

/// Of what a list of people at risk is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AtRiskQuery {
    /// One group; all that the caller may read if missing.
    group: Option<String>,
    /// The first local date of its sessions, YYYY-MM-DD; half a year before the last if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    from: Option<Date>,
    /// The last, within a year; today where the tenant is if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    until: Option<Date>,
    /// People who attended less than this share of what counts for them, 0 to 1; 0.8 if missing.
    threshold: Option<f64>,
    /// `json` if missing.
    format: Option<Format>,
}

/// Of what a heat map is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct HeatMapQuery {
    /// One group; all that the caller may read if missing.
    group: Option<String>,
    /// The first local date of its sessions, YYYY-MM-DD; half a year before the last if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    from: Option<Date>,
    /// The last, within a year; today where the tenant is if missing.
    #[param(value_type = Option<String>, format = Date)]
    #[serde(deserialize_with = "wall::date_opt", default)]
    until: Option<Date>,
    /// `json` or `svg`; `json` if missing.
    format: Option<HeatMapFormat>,
}

/// How a heat map is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum HeatMapFormat {
    Json,
    Svg,
}

/// On which weekdays and at which hours people attend.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct HeatMapView {
    /// The hours in which sessions start, by weekday and hour.
    cells: Vec<HeatCell>,
}

#[utoipa::path(get, path = "/api/v1/reports/attendance", tag = "reports", params(ReportQuery),
    responses((status = 200, content((ReportView = "application/json"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "image/svg+xml"))),
        (status = 400, description = "invalid_range"), (status = 404, description = "group_not_found"), (status = 422, description = "report_too_large")))]
/// Counts the attendance of closed sessions. A rate is of what was attended and missed: what is excused, undecided, a
/// holiday or before somebody came onto the roster is left out.
pub(in crate::http) async fn attendance(
    request: HttpRequest,
    caller: Granted<ReportAttendance>,
    query: Query<ReportQuery>,
) -> Result<HttpResponse, ApiError> {
    let ReportQuery { group, from, until, by, format } = query.into_inner();
    let params = params(group.as_deref(), from, until)?;
    report(&request, &caller.0, params, (by.unwrap_or(By::Person), "attendance"), format.unwrap_or_default(), None)
        .await
}

#[utoipa::path(get, path = "/api/v1/reports/at-risk", tag = "reports", params(AtRiskQuery),
    responses((status = 200, content((ReportView = "application/json"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (String = "image/svg+xml"))),
        (status = 400, description = "invalid_range, invalid_threshold"), (status = 404, description = "group_not_found"), (status = 422, description = "report_too_large")))]
/// Lists the people who attended less than a share of what counts for them.
pub(in crate::http) async fn at_risk(
    request: HttpRequest,
    caller: Granted<ReportAttendance>,
    query: Query<AtRiskQuery>,
) -> Result<HttpResponse, ApiError> {
    let AtRiskQuery { group, from, until, threshold, format } = query.into_inner();
    let (params, below) = (params(group.as_deref(), from, until)?, threshold.unwrap_or(AT_RISK));
    report(&request, &caller.0, params, (By::Person, "at-risk"), format.unwrap_or_default(), Some(below)).await
}

#[utoipa::path(get, path = "/api/v1/reports/heatmap", tag = "reports", params(HeatMapQuery),
    responses((status = 200, content((HeatMapView = "application/json"), (String = "image/svg+xml"))),
        (status = 400, description = "invalid_range"), (status = 404, description = "group_not_found"), (status = 422, description = "report_too_large")))]
/// Counts the attendance of closed sessions by weekday and hour, on the clocks of their groups.
pub(in crate::http) async fn heat_map(
    state: Data<ApiState>,
    caller: Granted<ReportAttendance>,
    query: Query<HeatMapQuery>,
) -> Result<HttpResponse, ApiError> {
    let HeatMapQuery { group, from, until, format } = query.into_inner();
    let (cells, caption) =
        state.services.attendance.attendance_heatmap(&caller.0, params(group.as_deref(), from, until)?).await?;
    Ok(match format {
        None | Some(HeatMapFormat::Json) => HttpResponse::Ok().json(HeatMapView { cells }),
        Some(HeatMapFormat::Svg) => {
            HttpResponse::Ok().content_type(media_type(Format::Svg)).body(svg::heatmap(&cells, &caption)?)
        }
    })
}

fn params(group: Option<&str>, from: Option<Date>, until: Option<Date>) -> Result<ReportParams> {
    let group: Option<GroupId> = group.map(str::parse).transpose()?;
    Ok(ReportParams { group, from, until })
}

/// Streams a report; `name` is that of the file in which it may be kept.
async fn report(
    request: &HttpRequest,
    caller: &Access,
    params: ReportParams,
    (by, name): (By, &str),
    format: Format,
    below: Option<f64>,
) -> Result<HttpResponse, ApiError> {
    let state = auth::state(request)?;
    let Report { period: Period { from, until }, parts } =
        state.services.attendance.attendance_report(caller, params, by, format, below).await?;
    let parts = auth::while_let_in(request, parts).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(media_type(format));
    let extension = match format {
        Format::Json | Format::Svg => return Ok(answer.streaming(parts)),
        Format::Csv => "csv",
        Format::Xlsx => "xlsx",
    };
    let kept_as = format!("attachment; filename=\"{name}-{from}-{until}.{extension}\"");
    Ok(answer.insert_header((CONTENT_DISPOSITION, kept_as)).streaming(parts))
}

const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Format::Svg => "image/svg+xml",
    }
}
