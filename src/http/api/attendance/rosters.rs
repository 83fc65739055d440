//! `/groups/{group}/people`: who belongs to a group, and since when.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::{GroupId, PersonId},
    http::{
        auth::{Granted, ManagePeople, ReadGroup},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::attendance::rosters::RosterView,
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/groups/{group}/people").route(get_or_head().to(members)))
        .service(
            resource("/groups/{group}/people/{person}")
                .route(web::put().to(add_member))
                .route(web::delete().to(remove_member)),
        )
        .service(resource("/groups/{group}/people/{person}/photo").route(get_or_head().to(member_photo)));
}

/// Since when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Joining {
    /// A local date, or a moment; the beginning of the present day if missing, and for who is on the roster already as it is.
    #[param(example = "2026-09-01")]
    since: Option<String>,
}

/// Until when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Leaving {
    /// The last local date on the roster, or the moment at which they left; now if missing.
    #[param(example = "2026-09-30")]
    until: Option<String>,
}

/// Whom to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Whom {
    /// Whether those are shown as well who have left; false if missing.
    #[serde(default)]
    former: bool,
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/people", tag = "groups", params(("group" = GroupId, Path), Whom),
    responses((status = 200, body = RosterView)))]
/// Shows who is on the roster, by name and since when, and who was.
pub(in crate::http) async fn members(
    state: Data<ApiState>,
    caller: Granted<ReadGroup>,
    group: Path<String>,
    whom: Query<Whom>,
) -> Result<Json<RosterView>, ApiError> {
    Ok(Json(state.services.attendance.roster(&caller.0, &group.parse()?, whom.former).await?))
}

#[utoipa::path(put, path = "/api/v1/groups/{group}/people/{person}", tag = "groups",
    params(("group" = GroupId, Path), ("person" = PersonId, Path), Joining),
    responses((status = 204), (status = 400, description = "invalid_roster_time"),
        (status = 409, description = "too_many_periods")))]
/// Puts a person on the roster. Sessions before that are not theirs, so they are not absent from them.
pub(in crate::http) async fn add_member(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    path: Path<(String, String)>,
    joining: Query<Joining>,
) -> Result<HttpResponse, ApiError> {
    let since = joining.since.as_deref().map(str::parse).transpose()?;
    state.services.attendance.add_member(&caller.0, &path.0.parse()?, &path.1.parse()?, since).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(delete, path = "/api/v1/groups/{group}/people/{person}", tag = "groups",
    params(("group" = GroupId, Path), ("person" = PersonId, Path), Leaving),
    responses((status = 204), (status = 400, description = "invalid_roster_time")))]
/// Takes a person off the roster. That they were on it stays, and so does their attendance.
pub(in crate::http) async fn remove_member(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    path: Path<(String, String)>,
    leaving: Query<Leaving>,
) -> Result<HttpResponse, ApiError> {
    let until = leaving.until.as_deref().map(str::parse).transpose()?;
    state.services.attendance.remove_member(&caller.0, &path.0.parse()?, &path.1.parse()?, until).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/groups/{group}/people/{person}/photo", tag = "groups",
    params(("group" = GroupId, Path), ("person" = PersonId, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>),
        (status = 404, description = "photo_not_found"), (status = 503, description = "damaged_photo")))]
/// The newest photo of somebody who is on the roster, where the tenant keeps them.
pub(in crate::http) async fn member_photo(
    state: Data<ApiState>,
    caller: Granted<ReadGroup>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let jpeg = state.services.attendance.photo_of_member(&caller.0, &path.0.parse()?, &path.1.parse()?).await?;
    Ok(HttpResponse::Ok().content_type(ContentType::jpeg()).body(jpeg))
}
