//! `/people/{person}/negatives`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};

use super::{
    ApiState,
    auth::Caller,
    error::{ApiError, ErrorBody},
    get_or_head,
    openapi::NegativeForm,
    resource,
    upload::Upload,
};
use crate::{
    domain::{FaceId, PersonId},
    service::negatives::{NegativeView, NegativesView, NewNegative},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/people/{person}/negatives").route(web::post().to(add)).route(get_or_head().to(list)))
        .service(resource("/people/{person}/negatives/{face}").route(web::delete().to(delete)));
}

#[utoipa::path(post, path = "/api/v1/people/{person}/negatives", tag = "people", params(("person" = PersonId, Path)),
    request_body(content((NegativeForm = "multipart/form-data"), (NegativeForm = "application/json"))),
    responses((status = 201, body = NegativeView), (status = "4XX", body = ErrorBody)))]
/// Keeps a face that is not the person's, from an image or from a sample of somebody else: no face at least as near to it
/// as to the person's own samples is given to the person.
pub(super) async fn add(
    state: Data<ApiState>,
    person: Path<String>,
    upload: Upload<NewNegative>,
) -> Result<HttpResponse, ApiError> {
    let Upload { scope, images, params } = upload;
    let made = state.service.add_negative(&scope, &person.parse()?, params, images).await?;
    Ok(HttpResponse::Created().json(made))
}

#[utoipa::path(get, path = "/api/v1/people/{person}/negatives", tag = "people", params(("person" = PersonId, Path)),
    responses((status = 200, body = NegativesView), (status = "4XX", body = ErrorBody)))]
/// Lists the faces that are not the person's.
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    person: Path<String>,
) -> Result<Json<NegativesView>, ApiError> {
    Ok(Json(state.service.negatives(&caller.0, &person.parse()?).await?))
}

#[utoipa::path(delete, path = "/api/v1/people/{person}/negatives/{face}", tag = "people",
    params(("person" = PersonId, Path), ("face" = FaceId, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
/// Forgets that a face is not the person's.
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.service.delete_negative(&caller.0, &path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
