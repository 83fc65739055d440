//! Photos in: recognising a group, identifying, comparing, detecting, embedding.

use actix_web::web::{self, Data, Json, Path, ServiceConfig};

use crate::{
    domain::GroupId,
    http::{
        api::forms::{CompareForm, IdentifyForm, ImagesForm, RecognizeForm},
        auth::{Identify, Recognise},
        error::ApiError,
        route::resource,
        state::ApiState,
        upload::Upload,
    },
    service::recognition::{
        analyse::{CompareParams, Comparison, Detections, Embeddings, NoParams},
        recognize::{IdentifyParams, Recognition, RecognizeParams},
    },
};

/// Those whose POST changes nothing: an answer for which there is no memory may be refused.
pub(in crate::http) const THAT_ONLY_TELL: [&str; 5] =
    ["/api/v1/identify", "/api/v1/compare", "/api/v1/detect", "/api/v1/embeddings", "/api/v1/people/{person}/verify"];

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/groups/{group}/recognize").route(web::post().to(recognize)))
        .service(resource("/identify").route(web::post().to(identify)))
        .service(resource("/compare").route(web::post().to(compare)))
        .service(resource("/detect").route(web::post().to(detect)))
        .service(resource("/embeddings").route(web::post().to(embeddings)));
}

#[utoipa::path(post, path = "/api/v1/groups/{group}/recognize", tag = "recognition",
    params(("group" = GroupId, Path)),
    request_body(content((RecognizeForm = "multipart/form-data"), (RecognizeForm = "application/json"))),
    responses((status = 200, body = Recognition), (status = 400, description = "invalid_at, invalid_times, invalid_threshold, invalid_margin, laxer_than_tenant, outside_session"),
        (status = 404, description = "session_not_found"),
        (status = 409, description = "no_session, session_closed, session_cancelled"),
        (status = 429, description = "rules_changed")))]
/// Recognises a group in 1–20 photos, and marks it present. A kiosk is told who was marked, and of other faces what to do.
pub(in crate::http) async fn recognize(
    state: Data<ApiState>,
    group: Path<String>,
    upload: Upload<RecognizeParams, Recognise>,
) -> Result<Json<Recognition>, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(Json(state.services.recognition.recognize_as(&scope, &group.parse()?, images, &params).await?))
}

#[utoipa::path(post, path = "/api/v1/identify", tag = "recognition",
    request_body(content((IdentifyForm = "multipart/form-data"), (IdentifyForm = "application/json"))),
    responses((status = 200, body = Recognition), (status = 400, description = "invalid_threshold, invalid_margin")))]
/// Looks the faces of 1–20 photos up in the whole gallery; marks nobody.
pub(in crate::http) async fn identify(
    state: Data<ApiState>,
    upload: Upload<IdentifyParams, Identify>,
) -> Result<Json<Recognition>, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(Json(state.services.recognition.identify(&scope, images, &params).await?))
}

#[utoipa::path(post, path = "/api/v1/compare", tag = "faces",
    request_body(content((CompareForm = "multipart/form-data"), (CompareForm = "application/json"))),
    responses((status = 200, body = Comparison), (status = 400, description = "two_images_wanted"),
        (status = 422, description = "no_face, several_faces")))]
/// Compares the faces of two images: raw cosine.
pub(in crate::http) async fn compare(
    state: Data<ApiState>,
    upload: Upload<CompareParams, Identify>,
) -> Result<Json<Comparison>, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(Json(state.services.recognition.compare(&scope, params.faces, images).await?))
}

#[utoipa::path(post, path = "/api/v1/detect", tag = "faces",
    request_body(content((ImagesForm = "multipart/form-data"), (ImagesForm = "application/json"))),
    responses((status = 200, body = Detections)))]
/// Finds the faces of 1–20 photos.
pub(in crate::http) async fn detect(
    state: Data<ApiState>,
    upload: Upload<NoParams, Identify>,
) -> Result<Json<Detections>, ApiError> {
    Ok(Json(state.services.recognition.detect(&upload.scope, upload.images).await?))
}

#[utoipa::path(post, path = "/api/v1/embeddings", tag = "faces",
    request_body(content((ImagesForm = "multipart/form-data"), (ImagesForm = "application/json"))),
    responses((status = 200, body = Embeddings)))]
/// Turns the faces of 1–20 photos into unit vectors.
pub(in crate::http) async fn embeddings(
    state: Data<ApiState>,
    upload: Upload<NoParams, Identify>,
) -> Result<Json<Embeddings>, ApiError> {
    Ok(Json(state.services.recognition.embeddings(&upload.scope, upload.images).await?))
}
