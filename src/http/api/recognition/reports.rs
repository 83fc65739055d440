//! `/reports`: what is odd about a tenant's people, and what their samples say about thresholds.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query, ServiceConfig},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::PersonId,
    error::Error,
    http::{
        auth::{Granted, ReadReports},
        error::ApiError,
        page::foreign_cursor,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::{
        people::duplicates::DuplicatesPage,
        recognition::calibration::{CalibrationParams, CalibrationReport},
    },
};

/// The most findings of a page.
const MAX_FINDINGS: usize = 10_000;

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/reports/duplicates").route(get_or_head().to(duplicates)))
        .service(resource("/reports/calibration").route(get_or_head().to(calibration)));
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DuplicatesQuery {
    /// The least similarity of a pair, raw cosine; the threshold for naming in the whole gallery if missing.
    threshold: Option<f32>,
    /// `next` of the page before.
    after: Option<String>,
    /// A page ends after about so many findings, 1–10000; 1000 if missing.
    limit: Option<usize>,
}

#[utoipa::path(get, path = "/api/v1/reports/duplicates", tag = "reports", params(DuplicatesQuery),
    responses((status = 200, body = DuplicatesPage), (status = 400, description = "invalid_threshold")))]
/// Compares everybody with everybody: people who look the same, and samples that look more like someone else.
/// Takes seconds for 10 000 samples; a page of a large tenant ends after about a minute and is gone on with by `after`.
pub(in crate::http) async fn duplicates(
    state: Data<ApiState>,
    caller: Granted<ReadReports>,
    query: Query<DuplicatesQuery>,
) -> Result<Json<DuplicatesPage>, ApiError> {
    let DuplicatesQuery { threshold, after, limit } = query.into_inner();
    let limit = limit.unwrap_or(1000);
    if !(1..=MAX_FINDINGS).contains(&limit) {
        return Err(Error::invalid(format!("limit is 1 to {MAX_FINDINGS}")).with_code("invalid_limit").into());
    }
    let after: Option<PersonId> =
        after.as_deref().map(|after| after.parse().map_err(|_| foreign_cursor())).transpose()?;
    Ok(Json(state.services.people.duplicates(&caller.0, threshold, after.as_ref(), limit).await?))
}

/// What a threshold is wanted for, and how it is to be told.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct CalibrationQuery {
    /// People whom a photo's faces are compared with, 1–1000000; 30 if missing.
    roster: Option<usize>,
    /// Faces of strangers in a photo, 1–1000; 5 if missing.
    faces: Option<usize>,
    /// The chance that one of them is named, at most, between 0 and 1; 0.001 if missing.
    false_names: Option<f64>,
    /// Numbers if missing.
    format: Option<ReportFormat>,
}

/// How a report is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum ReportFormat {
    /// Numbers.
    #[default]
    Json,
    /// A picture.
    Svg,
}

#[utoipa::path(get, path = "/api/v1/reports/calibration", tag = "reports", params(CalibrationQuery),
    responses((status = 200, content((CalibrationReport = "application/json"), (String = "image/svg+xml"))),
        (status = 400, description = "invalid_calibration")))]
/// Compares the enrolled samples with each other: how often people are mixed up and missed at each threshold, and the
/// threshold for a wanted chance of a false name. Takes seconds for 20 000 samples, up to a minute for more.
pub(in crate::http) async fn calibration(
    state: Data<ApiState>,
    caller: Granted<ReadReports>,
    query: Query<CalibrationQuery>,
) -> Result<HttpResponse, ApiError> {
    let CalibrationQuery { roster, faces, false_names, format } = query.into_inner();
    let usual = CalibrationParams::default();
    let params = CalibrationParams {
        roster: roster.unwrap_or(usual.roster),
        faces: faces.unwrap_or(usual.faces),
        false_names: false_names.unwrap_or(usual.false_names),
    };
    let report = state.services.recognition.calibration(&caller.0, params).await?;
    Ok(match format.unwrap_or_default() {
        ReportFormat::Json => HttpResponse::Ok().json(report),
        ReportFormat::Svg => HttpResponse::Ok().content_type("image/svg+xml").body(report.svg()?),
    })
}
