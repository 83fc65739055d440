//! `/people` and their face samples.

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{self, Data, Json, Path, Query, ServiceConfig},
};

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::{ConsentState, ErasureId, PersonId},
    http::{
        api::{
            access::erasures::erased,
            forms::{EnrolForm, FacesForm, VerifyForm},
        },
        auth::{Granted, Identify, ManagePeople, ReadPeople},
        error::ApiError,
        idempotency::creating,
        page::Page,
        route::{get_or_head, resource},
        state::ApiState,
        upload::{Body, Upload},
    },
    service::{
        people::{
            enrol::{Enrolled, FacesAdded, MoreFaces, NewPerson},
            export::PersonExport,
            merge::{MergeParams, MoveParams},
            person::{FacesShown, PeopleFilter, PersonPage, PersonPatch, PersonView},
        },
        recognition::analyse::{Verification, VerifyParams},
    },
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            resource("/people").route(creating::<ManagePeople>(web::post().to(enrol))).route(get_or_head().to(list)),
        )
        .service(
            resource("/people/{person}")
                .route(get_or_head().to(show))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        )
        .service(
            resource("/people/{person}/faces")
                .route(web::put().to(replace_faces))
                .route(creating::<ManagePeople>(web::post().to(add_faces))),
        )
        .service(resource("/people/{person}/faces/{face}").route(web::delete().to(delete_face)))
        .service(resource("/people/{person}/faces/{face}/move").route(web::post().to(move_face)))
        .service(resource("/people/{person}/photo").route(get_or_head().to(photo)))
        .service(resource("/people/{person}/export").route(get_or_head().to(export)))
        .service(resource("/people/{person}/merge").route(web::post().to(merge)))
        .service(resource("/people/{person}/verify").route(web::post().to(verify)));
}

/// Which people, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PeopleParams {
    /// Each of its words is the beginning of a word of the name or the id, whatever its case and accents; of names in
    /// scripts that put no space between them, the beginning of a part.
    query: Option<String>,
    /// Only people of this group.
    group: Option<String>,
    /// Only people whose consent stands so.
    consent: Option<ConsentState>,
    /// Whether their samples are shown: all if missing.
    #[serde(default)]
    #[param(inline)]
    faces: FacesShown,
    /// `next` of the page before.
    after: Option<String>,
    /// Entries, 1–1000; 100 if missing.
    limit: Option<usize>,
}

#[utoipa::path(post, path = "/api/v1/people", tag = "people",
    request_body(content((EnrolForm = "multipart/form-data"), (EnrolForm = "application/json"))),
    responses((status = 201, body = Enrolled),
        (status = 400, description = "invalid_name, invalid_email, invalid_metadata, invalid_consent"),
        (status = 404, description = "group_not_found"),
        (status = 409, description = "person_exists, limit_reached, too_many_faces"),
        (status = 422, description = "no_usable_image, duplicate_of, consent_required"),
        (status = 429, description = "rules_changed")))]
/// Enrols a person from 1–20 images. Partial success: images that cannot be used are listed with reasons.
pub(in crate::http) async fn enrol(
    state: Data<ApiState>,
    upload: Upload<NewPerson, ManagePeople>,
) -> Result<HttpResponse, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(HttpResponse::Created().json(state.services.people.enrol(&scope, params, images).await?))
}

#[utoipa::path(get, path = "/api/v1/people", tag = "people", params(PeopleParams),
    responses((status = 200, body = PersonPage), (status = 400, description = "invalid_query"),
        (status = 404, description = "group_not_found")))]
/// Lists people in the order of their enrolment: everybody, or those who are wanted. Whoever is there and wanted throughout a walk over the pages
/// is met exactly once.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ReadPeople>,
    wanted: Query<PeopleParams>,
) -> Result<Json<PersonPage>, ApiError> {
    let PeopleParams { query, group, consent, faces, after, limit } = wanted.into_inner();
    let (after, limit) = Page { after, limit }.parse()?;
    let group = group.as_deref().map(str::parse).transpose()?;
    let filter = PeopleFilter { query, group, consent, faces };
    Ok(Json(state.services.people.people(&caller.0, filter, after, limit).await?))
}

#[utoipa::path(get, path = "/api/v1/people/{person}", tag = "people", params(("person" = PersonId, Path)),
    responses((status = 200, body = PersonView)))]
/// Shows a person.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ReadPeople>,
    person: Path<String>,
) -> Result<Json<PersonView>, ApiError> {
    Ok(Json(state.services.people.person(&caller.0, &person.parse()?).await?))
}

#[utoipa::path(patch, path = "/api/v1/people/{person}", tag = "people", params(("person" = PersonId, Path)),
    request_body = PersonPatch, responses((status = 200, body = PersonView),
        (status = 400, description = "invalid_name, invalid_email, invalid_metadata"), (status = 404, description = "group_not_found")))]
/// Changes what is known of a person.
pub(in crate::http) async fn update(
    state: Data<ApiState>,
    person: Path<String>,
    Body { scope, params: patch }: Body<PersonPatch, ManagePeople>,
) -> Result<Json<PersonView>, ApiError> {
    Ok(Json(state.services.people.update_person(&scope, &person.parse()?, patch).await?))
}

#[utoipa::path(delete, path = "/api/v1/people/{person}", tag = "people", params(("person" = PersonId, Path)),
    responses((status = 204, headers(("erasure-id" = ErasureId, description = "See `GET /erasures`.")))))]
/// Erases a person: samples, photos, memberships and attendance. Nobody finds them from here on; their bytes leave the
/// disk when the store is rewritten.
pub(in crate::http) async fn delete(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    person: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let erasure = state.services.people.delete_person(&caller.0, &person.parse()?).await?;
    Ok(erased(Some(&erasure)))
}

#[utoipa::path(put, path = "/api/v1/people/{person}/faces", tag = "people", params(("person" = PersonId, Path)),
    request_body(content((FacesForm = "multipart/form-data"), (FacesForm = "application/json"))),
    responses((status = 200, body = Enrolled), (status = 409, description = "limit_reached, too_many_faces"),
        (status = 422, description = "no_usable_image, duplicate_of, consent_required"),
        (status = 429, description = "rules_changed")))]
/// Replaces all samples of a person, or none.
pub(in crate::http) async fn replace_faces(
    state: Data<ApiState>,
    person: Path<String>,
    upload: Upload<MoreFaces, ManagePeople>,
) -> Result<Json<Enrolled>, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(Json(state.services.people.replace_faces(&scope, &person.parse()?, params, images).await?))
}

#[utoipa::path(post, path = "/api/v1/people/{person}/faces", tag = "people", params(("person" = PersonId, Path)),
    request_body(content((FacesForm = "multipart/form-data"), (FacesForm = "application/json"))),
    responses((status = 201, body = FacesAdded), (status = 409, description = "limit_reached, too_many_faces"),
        (status = 422, description = "no_usable_image, duplicate_of, consent_required"),
        (status = 429, description = "rules_changed")))]
/// Adds samples to a person.
pub(in crate::http) async fn add_faces(
    state: Data<ApiState>,
    person: Path<String>,
    upload: Upload<MoreFaces, ManagePeople>,
) -> Result<HttpResponse, ApiError> {
    let Upload { scope, images, params } = upload;
    let added = state.services.people.add_faces(&scope, &person.parse()?, params, images).await?;
    Ok(HttpResponse::Created().json(added))
}

#[utoipa::path(delete, path = "/api/v1/people/{person}/faces/{face}", tag = "people",
    params(("person" = PersonId, Path), ("face" = crate::domain::FaceId, Path)),
    responses((status = 204)))]
/// Deletes one sample of a person.
pub(in crate::http) async fn delete_face(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.services.people.delete_face(&caller.0, &path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/people/{person}/faces/{face}/move", tag = "people",
    params(("person" = PersonId, Path), ("face" = crate::domain::FaceId, Path)), request_body = MoveParams,
    responses((status = 200, body = PersonView),
        (status = 400, description = "same_person"), (status = 409, description = "too_many_faces"),
        (status = 422, description = "consent_required"), (status = 429, description = "rules_changed")))]
/// Gives one sample of a person to another, who is returned.
pub(in crate::http) async fn move_face(
    state: Data<ApiState>,
    path: Path<(String, String)>,
    Body { scope, params }: Body<MoveParams, ManagePeople>,
) -> Result<Json<PersonView>, ApiError> {
    Ok(Json(state.services.people.move_face(&scope, &path.0.parse()?, path.1.parse()?, &params.to).await?))
}

#[utoipa::path(post, path = "/api/v1/people/{person}/merge", tag = "people", params(("person" = PersonId, Path)),
    request_body = MergeParams, responses((status = 200, body = PersonView), (status = 400, description = "same_person"),
        (status = 409, description = "too_many_faces"), (status = 429, description = "rules_changed")))]
/// Gives everything of another person to this one, and removes the other: samples, groups, attendance, and what this
/// one lacks of address and metadata.
pub(in crate::http) async fn merge(
    state: Data<ApiState>,
    person: Path<String>,
    Body { scope, params }: Body<MergeParams, ManagePeople>,
) -> Result<Json<PersonView>, ApiError> {
    Ok(Json(state.services.people.merge_people(&scope, &person.parse()?, &params.from).await?))
}

/// Which photo of a person.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PhotoParams {
    /// The one behind this sample; the newest if missing.
    face: Option<String>,
}

#[utoipa::path(get, path = "/api/v1/people/{person}/photo", tag = "people",
    params(("person" = PersonId, Path), PhotoParams),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>),
        (status = 404, description = "photo_not_found"), (status = 503, description = "damaged_photo")))]
/// A photo of a person, where the tenant keeps them.
pub(in crate::http) async fn photo(
    state: Data<ApiState>,
    caller: Granted<ReadPeople>,
    person: Path<String>,
    wanted: Query<PhotoParams>,
) -> Result<HttpResponse, ApiError> {
    let face = wanted.into_inner().face.as_deref().map(str::parse).transpose()?;
    let jpeg = state.services.people.photo(&caller.0, &person.parse()?, face).await?;
    Ok(HttpResponse::Ok().content_type(ContentType::jpeg()).body(jpeg))
}

#[utoipa::path(get, path = "/api/v1/people/{person}/export", tag = "people", params(("person" = PersonId, Path)),
    responses((status = 200, body = PersonExport)))]
/// Everything that is stored of a person, in one document: fields, consent, groups, samples with vectors, which photos
/// are kept, negatives, attendance.
pub(in crate::http) async fn export(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    person: Path<String>,
) -> Result<Json<PersonExport>, ApiError> {
    Ok(Json(state.services.people.export_person(&caller.0, &person.parse()?).await?))
}

#[utoipa::path(post, path = "/api/v1/people/{person}/verify", tag = "people", params(("person" = PersonId, Path)),
    request_body(content((VerifyForm = "multipart/form-data"), (VerifyForm = "application/json"))),
    responses((status = 200, body = Verification), (status = 400, description = "one_image_wanted, invalid_threshold"), (status = 409, description = "no_samples"),
        (status = 422, description = "no_face, several_faces, consent_required")))]
/// Compares one face with one person (1:1).
pub(in crate::http) async fn verify(
    state: Data<ApiState>,
    person: Path<String>,
    upload: Upload<VerifyParams, Identify>,
) -> Result<Json<Verification>, ApiError> {
    let Upload { scope, images, params } = upload;
    Ok(Json(state.services.recognition.verify(&scope, &person.parse()?, &params, images).await?))
}
