//! Jobs: what starts them, and `/jobs`.

mod events;

use actix_web::{
    HttpRequest, HttpResponse, guard,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::forms::{ImportForm, RecognizeJobForm, StreamedEvent};
use crate::{
    domain::{GroupId, JobId},
    http::{
        auth::{Granted, ManagePeople, RecogniseMany, SeeJobs, while_let_in},
        error::ApiError,
        idempotency::creating,
        page::{Page, checked_limit},
        route::{get_or_head, resource},
        state::ApiState,
        upload::Spooled,
    },
    service::jobs::{ImportParams, JobPage, JobResults, JobView, RecogniseJobParams},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        // Only what is posted: the person of that id is reached by all else.
        .service(
            resource("/people/import").guard(guard::Post()).route(creating::<ManagePeople>(web::post().to(import))),
        )
        .service(resource("/groups/{group}/jobs/recognize").route(creating::<RecogniseMany>(web::post().to(recognize))))
        .service(resource("/jobs").route(get_or_head().to(list)))
        .service(resource("/jobs/{job}").route(get_or_head().to(show)))
        .service(resource("/jobs/{job}/cancel").route(web::post().to(cancel)))
        .service(resource("/jobs/{job}/events").route(web::get().to(events)))
        .service(resource("/jobs/{job}/results").route(get_or_head().to(results)));
}

/// How reports are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum ResultFormat {
    /// A page of them.
    #[default]
    Json,
    /// All of them, to download.
    Csv,
}

/// Which reports, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ResultParams {
    /// `next` of the page before.
    after: Option<u64>,
    /// Entries, 1–1000; 100 if missing.
    limit: Option<usize>,
    /// json if missing; of csv all come at once.
    #[serde(default)]
    #[param(inline)]
    format: ResultFormat,
}

#[utoipa::path(post, path = "/api/v1/people/import", tag = "jobs",
    request_body(content((ImportForm = "multipart/form-data"))),
    responses((status = 202, body = JobView),
        (status = 400, description = "invalid_form, incomplete_body, no_roster, invalid_csv, invalid_zip"),
        (status = 413, description = "field_too_large, too_many_rows, workbook_too_large, too_many_entries, zip_bomb"),
        (status = 429, description = "too_many_jobs"), (status = 503, description = "spool_failed"),
        (status = 507, description = "job_files_full")))]
/// Takes people in from a roster, CSV or the first sheet of a workbook (.xlsx), with photos from a ZIP file, as a job: answers once the files are safe and can be read.
pub(in crate::http) async fn import(
    state: Data<ApiState>,
    upload: Spooled<ImportParams, ManagePeople>,
) -> Result<HttpResponse, ApiError> {
    let Spooled { scope, files, params, .. } = upload;
    Ok(HttpResponse::Accepted().json(state.services.jobs.start_import(&scope, files, params).await?))
}

#[utoipa::path(post, path = "/api/v1/groups/{group}/jobs/recognize", tag = "jobs",
    params(("group" = GroupId, Path)), request_body(content((RecognizeJobForm = "multipart/form-data"))),
    responses((status = 202, body = JobView),
        (status = 400, description = "invalid_form, incomplete_body, no_images, invalid_zip, invalid_at, invalid_threshold, invalid_margin, laxer_than_tenant, outside_session"),
        (status = 404, description = "session_not_found"), (status = 409, description = "session_closed, session_cancelled"),
        (status = 413, description = "field_too_large, too_many_entries, zip_bomb"),
        (status = 429, description = "too_many_jobs"), (status = 503, description = "spool_failed"),
        (status = 507, description = "job_files_full")))]
/// Recognises a group in many photos, as a job: each is for the session named, or for that of the time at which it was taken.
pub(in crate::http) async fn recognize(
    state: Data<ApiState>,
    group: Path<String>,
    upload: Spooled<RecogniseJobParams, RecogniseMany>,
) -> Result<HttpResponse, ApiError> {
    let Spooled { scope, files, params, .. } = upload;
    let started = state.services.jobs.start_recognition(&scope, &group.parse()?, files, params).await?;
    Ok(HttpResponse::Accepted().json(started))
}

#[utoipa::path(get, path = "/api/v1/jobs/{job}/events", tag = "jobs", params(("job" = JobId, Path)),
    responses((status = 200, content(
        (StreamedEvent = "text/event-stream",
            example = json!({"event": "progress", "data": "{\"state\":\"running\",\"done\":7}"})),
    )), (status = 429, description = "too_many_streams")))]
/// Tells how the job comes on, as server-sent events: `progress` with the job at the beginning and whenever it has come
/// further, until it is over.
pub(in crate::http) async fn events(
    state: Data<ApiState>,
    caller: Granted<SeeJobs>,
    job: Path<String>,
) -> Result<HttpResponse, ApiError> {
    Ok(events::answer(state, caller.0, job.parse()?).await?)
}

#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(Page), responses((status = 200, body = JobPage)))]
/// Lists the jobs that the caller could have started, oldest first.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<SeeJobs>,
    page: Query<Page>,
) -> Result<Json<JobPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.jobs.jobs(&caller.0, after, limit).await?))
}

#[utoipa::path(get, path = "/api/v1/jobs/{job}", tag = "jobs", params(("job" = JobId, Path)),
    responses((status = 200, body = JobView)))]
/// Shows a job and how far it has come.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<SeeJobs>,
    job: Path<String>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(state.services.jobs.job(&caller.0, job.parse()?).await?))
}

#[utoipa::path(post, path = "/api/v1/jobs/{job}/cancel", tag = "jobs", params(("job" = JobId, Path)),
    responses((status = 200, body = JobView)))]
/// Calls a job off: nothing more of it is done, and what was done stands. One that is over stays as it is.
pub(in crate::http) async fn cancel(
    state: Data<ApiState>,
    caller: Granted<SeeJobs>,
    job: Path<String>,
) -> Result<Json<JobView>, ApiError> {
    Ok(Json(state.services.jobs.cancel_job(&caller.0, job.parse()?).await?))
}

#[utoipa::path(get, path = "/api/v1/jobs/{job}/results", tag = "jobs", params(("job" = JobId, Path), ResultParams),
    responses((status = 200, content((JobResults = "application/json"), (String = "text/csv")))))]
/// What became of the items, as far as they are done: in pages, or all of them to download as CSV.
pub(in crate::http) async fn results(
    request: HttpRequest,
    state: Data<ApiState>,
    caller: Granted<SeeJobs>,
    job: Path<String>,
    wanted: Query<ResultParams>,
) -> Result<HttpResponse, ApiError> {
    let job: JobId = job.parse()?;
    let ResultParams { after, limit, format } = wanted.into_inner();
    let limit = checked_limit(limit)?;
    Ok(match format {
        ResultFormat::Json => {
            HttpResponse::Ok().json(state.services.jobs.job_results(&caller.0, job, after, limit).await?)
        }
        ResultFormat::Csv => {
            let lines = while_let_in(&request, state.services.jobs.download_results(&caller.0, job).await?).await?;
            let name = format!("attachment; filename=\"{job}.csv\"");
            HttpResponse::Ok()
                .content_type("text/csv; charset=utf-8")
                .insert_header(("content-disposition", name))
                .streaming(lines)
        }
    })
}
