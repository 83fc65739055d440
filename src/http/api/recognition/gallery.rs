//! `/gallery`: looking after it.

use actix_web::web::{self, Data, Json, ServiceConfig};

use crate::{
    http::{auth::MaintainGallery, error::ApiError, route::resource, state::ApiState, upload::Body},
    service::recognition::gallery::{GalleryCheckPage, GalleryCheckParams},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/gallery/check").route(web::post().to(check)));
}

#[utoipa::path(post, path = "/api/v1/gallery/check", tag = "gallery", request_body = GalleryCheckParams,
    responses((status = 200, body = GalleryCheckPage), (status = 400, description = "invalid_cursor")))]
/// Looks for enrolled samples in every way that the gallery can be searched, a page at a time.
pub(in crate::http) async fn check(
    state: Data<ApiState>,
    Body { scope, params }: Body<GalleryCheckParams, MaintainGallery>,
) -> Result<Json<GalleryCheckPage>, ApiError> {
    Ok(Json(state.services.recognition.check_gallery(&scope, params).await?))
}
