//! `/people/{person}/negatives`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};

use crate::{
    domain::{FaceId, PersonId},
    http::{
        api::forms::NegativeForm,
        auth::{Granted, ManagePeople, ReadPeople},
        error::ApiError,
        idempotency::creating,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Upload,
    },
    service::people::negatives::{NegativeView, NegativesView, NewNegative},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/people/{person}/negatives")
                .route(creating::<ManagePeople>(web::post().to(add)))
                .route(get_or_head().to(list)),
        )
        .service(resource("/people/{person}/negatives/{negative}").route(web::delete().to(delete)));
}

#[utoipa::path(post, path = "/api/v1/people/{person}/negatives", tag = "negatives", params(("person" = PersonId, Path)),
    request_body(content((NegativeForm = "multipart/form-data"), (NegativeForm = "application/json"))),
    responses((status = 201, body = NegativeView), (status = 400, description = "one_face_wanted, same_person"),
        (status = 404, description = "face_not_found"),
        (status = 409, description = "too_many_negatives, limit_reached"),
        (status = 422, description = "no_face, several_faces, consent_required")))]
/// Keeps a face that is not the person's, from an image or from a sample of somebody else: no face at least as near to it
/// as to the person's own samples is given to the person.
pub(in crate::http) async fn add(
    state: Data<ApiState>,
    person: Path<String>,
    upload: Upload<NewNegative, ManagePeople>,
) -> Result<HttpResponse, ApiError> {
    let Upload { scope, images, params } = upload;
    let made = state.services.people.add_negative(&scope, &person.parse()?, params, images).await?;
    Ok(HttpResponse::Created().json(made))
}

#[utoipa::path(get, path = "/api/v1/people/{person}/negatives", tag = "negatives", params(("person" = PersonId, Path)),
    responses((status = 200, body = NegativesView)))]
/// Lists the faces that are not the person's.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ReadPeople>,
    person: Path<String>,
) -> Result<Json<NegativesView>, ApiError> {
    Ok(Json(state.services.people.negatives(&caller.0, &person.parse()?).await?))
}

#[utoipa::path(delete, path = "/api/v1/people/{person}/negatives/{negative}", tag = "negatives",
    params(("person" = PersonId, Path), ("negative" = FaceId, Path)),
    responses((status = 204)))]
/// Forgets that a face is not the person's.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.services.people.delete_negative(&caller.0, &path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
