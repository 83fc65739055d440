//! `/reports`: what is odd about a tenant's people.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState,
    auth::{Granted, ReadReports},
    error::ApiError,
    get_or_head,
    groups::foreign_cursor,
    resource,
};
use crate::{domain::PersonId, error::Error, service::duplicates::DuplicatesPage};

/// The most findings of a page.
const MAX_FINDINGS: usize = 10_000;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/reports/duplicates").route(get_or_head().to(duplicates)));
}

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DuplicatesQuery {
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
pub(super) async fn duplicates(
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
    Ok(Json(state.service.duplicates(&caller.0, threshold, after.as_ref(), limit).await?))
}
