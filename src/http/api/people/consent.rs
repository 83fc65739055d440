//! `/people/{person}/consent`.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};

use crate::{
    domain::PersonId,
    http::{
        auth::{Granted, ManagePeople, ReadPeople},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
        upload::Body,
    },
    service::people::consent::{ConsentView, NewConsent},
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config.service(
        resource("/people/{person}/consent")
            .route(get_or_head().to(show))
            .route(web::put().to(give))
            .route(web::delete().to(withdraw)),
    );
}

#[utoipa::path(get, path = "/api/v1/people/{person}/consent", tag = "consent", params(("person" = PersonId, Path)),
    responses((status = 200, body = ConsentView), (status = 404, description = "no_consent")))]
/// Shows a person's consent; 404 `no_consent` where there is none.
pub(in crate::http) async fn show(
    state: Data<ApiState>,
    caller: Granted<ReadPeople>,
    person: Path<String>,
) -> Result<Json<ConsentView>, ApiError> {
    Ok(Json(state.services.people.consent(&caller.0, &person.parse()?).await?))
}

#[utoipa::path(put, path = "/api/v1/people/{person}/consent", tag = "consent", params(("person" = PersonId, Path)),
    request_body = NewConsent, responses((status = 200, body = ConsentView), (status = 400, description = "invalid_consent, invalid_name")))]
/// Records a consent in the place of the one before.
pub(in crate::http) async fn give(
    state: Data<ApiState>,
    person: Path<String>,
    Body { scope, params: consent }: Body<NewConsent, ManagePeople>,
) -> Result<Json<ConsentView>, ApiError> {
    Ok(Json(state.services.people.give_consent(&scope, &person.parse()?, consent).await?))
}

#[utoipa::path(delete, path = "/api/v1/people/{person}/consent", tag = "consent", params(("person" = PersonId, Path)),
    responses((status = 204), (status = 404, description = "no_consent")))]
/// Withdraws a consent. Where the tenant requires one, nobody finds the person from then on; their samples stay.
pub(in crate::http) async fn withdraw(
    state: Data<ApiState>,
    caller: Granted<ManagePeople>,
    person: Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.services.people.withdraw_consent(&caller.0, &person.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
