//! How a job comes on, as server-sent events.

use std::time::Duration;

use actix_web::{HttpResponse, http::header, web::Data};
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::{Instant, sleep};

use crate::{
    domain::{Access, JobId},
    error::{Error, Result},
    events::Place,
    http::state::ApiState,
    service::jobs::JobView,
};

/// Between two looks at the job.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After so long without news a line is sent that says nothing, so that nobody in between thinks the line dead.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);

/// What was told last, and when.
struct Told {
    job: Option<JobView>,
    at: Instant,
    _place: Place,
}

/// The stream of a job. Errors: `NotFound` `job_not_found`; `Overloaded` `too_many_streams`.
pub(super) async fn answer(state: Data<ApiState>, access: Access, job: JobId) -> Result<HttpResponse> {
    state.services.jobs.job(&access, job).await?;
    let place = state.services.events.follow(&access)?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(progress(state, access, job, place)))
}

/// Ends when the job is over or the caller's right is, and when the server stops or the job goes: whoever still wants to
/// know asks again.
fn progress(state: Data<ApiState>, access: Access, job: JobId, place: Place) -> impl Stream<Item = Result<Bytes>> {
    let told = Told { job: None, at: Instant::now(), _place: place };
    stream::try_unfold((state, access, told), move |(state, access, told)| async move {
        if told.job.as_ref().is_some_and(|job| !job.state.is_open()) {
            return Ok(None);
        }
        loop {
            let now = state.services.jobs.job(&access, job).await?;
            // Asked after the look: what becomes of the job once the right has ended is not told.
            if !state.services.store().still_grants(&access).await? {
                return Ok(None);
            }
            if told.job.as_ref() != Some(&now) {
                let event = event(&now)?;
                let told = Told { job: Some(now), at: Instant::now(), ..told };
                return Ok(Some((event, (state, access, told))));
            }
            if !state.health.is_ready() {
                return Ok(None);
            }
            if told.at.elapsed() > SIGN_OF_LIFE_EVERY {
                let told = Told { at: Instant::now(), ..told };
                return Ok(Some((Bytes::from_static(b":\n\n"), (state, access, told))));
            }
            sleep(LOOK_EVERY).await;
        }
    })
}

fn event(job: &JobView) -> Result<Bytes> {
    let data =
        serde_json::to_string(job).map_err(|error| Error::internal("a job cannot be written").with_source(error))?;
    Ok(format!("event: progress\ndata: {data}\n\n").into())
}
