//! `/groups`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};

use crate::{
    domain::GroupId,
    error::Result,
    http::{
        auth::{Granted, ListGroups, ManageGroups, ReadGroup},
        error::ApiError,
        idempotency::creating,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::attendance::groups::{GroupPage, GroupPatch, GroupView, GroupWithRoster, NewGroup},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
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

#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = NewGroup,
    responses((status = 201, body = GroupView), (status = 400, description = "invalid_name, invalid_time_zone, invalid_rules"),
        (status = 409, description = "group_exists, limit_reached")))]
/// Makes a group.
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewGroup, ManageGroups>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(state.services.attendance.create_group(&scope, new).await?))
}

#[utoipa::path(get, path = "/api/v1/groups", tag = "groups", params(Page),
    responses((status = 200, body = GroupPage)))]
/// Lists groups by id.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ListGroups>,
    page: Query<Page>,
) -> Result<Json<GroupPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.attendance.groups_for(&caller.0, after.as_ref(), limit).await?))
}

#[utoipa::path(get, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    responses((status = 200, body = GroupWithRoster)))]
/// Shows a group and its roster.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ReadGroup>,
    group: Path<String>,
) -> Result<Json<GroupWithRoster>, ApiError> {
    Ok(Json(state.services.attendance.group(&caller.0, &group.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    request_body = GroupPatch, responses((status = 200, body = GroupView), (status = 400, description = "invalid_name, invalid_time_zone, invalid_rules")))]
/// Changes a group's name, time zone or rules.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    group: Path<String>,
    Body { scope, params: patch }: Body<GroupPatch, ManageGroups>,
) -> Result<Json<GroupView>, ApiError> {
    Ok(Json(state.services.attendance.update_group(&scope, &group.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/groups/{group}", tag = "groups", params(("group" = GroupId, Path)),
    responses((status = 204)))]
/// Deletes a group with its roster and attendance; its people stay.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManageGroups>,
    group: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.attendance.delete_group(&caller.0, &group.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
