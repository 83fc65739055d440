//! `/users`: a tenant's admins manage its users, operators the operators.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};

use crate::{
    domain::UserId,
    http::{
        auth::{Granted, ManageAccess},
        error::ApiError,
        idempotency::creating,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::access::users::{NewUser, UserPage, UserPatch, UserView},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/users").route(creating::<ManageAccess>(web::post().to(create))).route(get_or_head().to(list)),
        )
        .service(
            resource("/users/{user}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        );
}

#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = UserView), (status = 400, description = "invalid_role, invalid_password"),
        (status = 404, description = "group_not_found"), (status = 409, description = "user_exists, limit_reached")))]
/// Makes a user.
pub(in crate::http) async fn create(
    state: Data<ApiState>,
    Body { scope, params: new }: Body<NewUser, ManageAccess>,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Created().json(state.services.access.create_user(&scope, new).await?))
}

#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(Page),
    responses((status = 200, body = UserPage)))]
/// Lists users by id.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    page: Query<Page>,
) -> Result<Json<UserPage>, ApiError> {
    let (after, limit) = page.parse()?;
    Ok(Json(state.services.access.users(&caller.0, after.as_ref(), limit).await?))
}

#[utoipa::path(get, path = "/api/v1/users/{user}", tag = "users", params(("user" = UserId, Path)),
    responses((status = 200, body = UserView)))]
/// Shows a user.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    user: Path<String>,
) -> Result<Json<UserView>, ApiError> {
    Ok(Json(state.services.access.user(&caller.0, &user.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/users/{user}", tag = "users", params(("user" = UserId, Path)),
    request_body = UserPatch, responses((status = 200, body = UserView),
        (status = 400, description = "invalid_role, invalid_password"), (status = 404, description = "group_not_found")))]
/// Changes a user's role, groups or password; it holds from their next request on.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    user: Path<String>,
    Body { scope, params: patch }: Body<UserPatch, ManageAccess>,
) -> Result<Json<UserView>, ApiError> {
    Ok(Json(state.services.access.update_user(&scope, &user.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "users", params(("user" = UserId, Path)),
    responses((status = 204)))]
/// Removes a user and ends their logins.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManageAccess>,
    user: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.access.delete_user(&caller.0, &user.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
