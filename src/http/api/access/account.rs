//! `/auth`: logging in and out, and one's own account.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};

use crate::{
    http::{
        address::client_address,
        auth::{Granted, Operate, OwnAccount},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
        upload::{Body, OpenBody},
    },
    service::access::sessions::{Login, Me, NewPassword, Refresh, TokenPair},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/auth/login").route(web::post().to(log_in)))
        .service(resource("/auth/refresh").route(web::post().to(refresh)))
        .service(resource("/auth/logout").route(web::post().to(log_out)))
        .service(resource("/auth/me").route(get_or_head().to(me)))
        .service(resource("/auth/password").route(web::post().to(change_password)))
        .service(resource("/auth/rotate").route(web::post().to(rotate)));
}

#[utoipa::path(post, path = "/api/v1/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = 200, body = TokenPair),
        (status = 401, description = "wrong_login"), (status = 403, description = "tenant_suspended"),
        (status = 429, description = "too_many_attempts")))]
/// Begins a login. Too many wrong ones are told to wait (429, Retry-After), by address and by account at an address.
pub(in crate::http) async fn log_in(
    request: HttpRequest,
    state: Data<ApiState>,
    OpenBody(login): OpenBody<Login>,
) -> Result<Json<TokenPair>, ApiError> {
    let from = client_address(&request, &state.trusted_proxies);
    Ok(Json(state.services.access.log_in(login, from).await?))
}

#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "auth", request_body = Refresh, security(()),
    responses((status = 200, body = TokenPair), (status = 401, description = "login_over"),
        (status = 403, description = "tenant_suspended"), (status = 429, description = "too_many_attempts")))]
/// Gives the next pair of tokens. A refresh token is good once: one that comes twice ends the login. One that was never
/// issued changes nothing.
pub(in crate::http) async fn refresh(
    state: Data<ApiState>,
    OpenBody(refresh): OpenBody<Refresh>,
) -> Result<Json<TokenPair>, ApiError> {
    Ok(Json(state.services.access.refresh(&refresh.refresh_token).await?))
}

#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "auth",
    responses((status = 204), (status = 409, description = "no_login")))]
/// Ends the login: its tokens open nothing from now on.
pub(in crate::http) async fn log_out(
    state: Data<ApiState>,
    caller: Granted<OwnAccount>,
) -> Result<HttpResponse, ApiError> {
    state.services.access.log_out(&caller.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/api/v1/auth/me", tag = "auth",
    responses((status = 200, body = Me)))]
/// Says who the caller is and what they may do.
pub(in crate::http) async fn me(caller: Granted<OwnAccount>) -> Json<Me> {
    Json(caller.0.into())
}

#[utoipa::path(post, path = "/api/v1/auth/password", tag = "auth", request_body = NewPassword,
    responses((status = 204), (status = 400, description = "invalid_password"), (status = 409, description = "no_login"),
        (status = 403, description = "wrong_password")))]
/// Changes the caller's own password and ends their other logins.
pub(in crate::http) async fn change_password(
    state: Data<ApiState>,
    Body { scope, params: change }: Body<NewPassword, OwnAccount>,
) -> Result<HttpResponse, ApiError> {
    state.services.access.change_password(&scope, change).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/auth/rotate", tag = "auth",
    responses((status = 204)))]
/// Makes a new key that signs access tokens (operator's key); those issued before are good until they are over.
pub(in crate::http) async fn rotate(
    state: Data<ApiState>,
    operator: Granted<Operate>,
) -> Result<HttpResponse, ApiError> {
    state.services.access.rotate_token_key(&operator.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
