//! `/groups`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState,
    auth::{Granted, ListGroups, ManageGroups, ReadGroup},
    error::ApiError,
    get_or_head,
    idempotency::creating,
    resource,
    upload::Body,
};
use crate::{
    domain::GroupId,
    error::{Error, Result},
    service::attendance::groups::{GroupPage, GroupPatch, GroupView, GroupWithRoster, NewGroup},
};

/// The most entries of a page.
const MAX_PAGE: usize = 1000;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/groups").route(creating::<ManageGroups>(web::post().to(create))).route(get_or_head().to(list)),
        )
        .service(
            resource("/groups/{group}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        );
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next` of the page before.
    pub(super) after: Option<String>,
    /// Entries, 1–1000; 100 if missing.
    pub(super) limit: Option<usize>,
}

impl Page {
    /// What to go on after, and the number of entries.
    pub(super) fn parse<I: std::str::FromStr<Err = Error>>(&self) -> Result<(Option<I>, usize)> {
        let limit = checked_limit(self.limit)?;
        Ok((self.after.as_deref().map(|after| after.parse().map_err(|_| foreign_cursor())).transpose()?, limit))
    }
}

/// The number of entries of a page.
pub(super) fn checked_limit(limit: Option<usize>) -> Result<usize> {
    let limit = limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid(format!("limit is 1 to {MAX_PAGE}")).with_code("invalid_limit"));
    }
    Ok(limit)
}

/// For an `after` that no page gave.
pub(super) fn foreign_cursor() -> Error {
    Error::invalid("after is the next of another page").with_code("invalid_cursor")
}

#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = NewGroup,
    responses((status = 201, body = GroupView), (status = 400, description = "invalid_name, invalid_time_zone, invalid_rules"),
        (status = 409, description = "group_exists, limit_reached")))]
/// Makes a group.
pub(super) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewGroup, ManageGroups>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(state.service.create_group(&scope, new).await?))
}

#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", params(Page),
    responses((status = 200, body = GroupPage)))]
/// Lists groups by id.
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Granted<ListGroups>,
    page: Query<Page>,
) -> Result<Json<GroupPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.service.groups_for(&caller.0, after.as_ref(), limit).await?))
}

#[utoipa::path(get, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    responses((status = 200, body = GroupWithRoster)))]
/// Shows a group and its roster.
pub(super) async fn show(
    state: Data<ApiState>,
    caller: Granted<ReadGroup>,
    group: Path<String>,
) -> Result<Json<GroupWithRoster>, ApiError> {
    Ok(Json(state.service.group(&caller.0, &group.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    request_body = GroupPatch, responses((status = 200, body = GroupView), (status = 400, description = "invalid_name, invalid_time_zone, invalid_rules")))]
/// Changes a group's name, time zone or rules.
pub(super) async fn update(
    state: Data<ApiState>,
    group: Path<String>,
    Body { scope, params: patch }: Body<GroupPatch, ManageGroups>,
) -> Result<Json<GroupView>, ApiError> {
    Ok(Json(state.service.update_group(&scope, &group.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    responses((status = 204)))]
/// Deletes a group with its roster and attendance; its people stay.
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManageGroups>,
    group: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.service.delete_group(&caller.0, &group.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
