//! `/sessions/{session}/strangers`: the unknown faces of a session, which its review lists.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, ServiceConfig},
};

use super::{
    ApiState,
    auth::{CorrectAttendance, Granted},
    error::ApiError,
    resource,
};
use crate::domain::{GroupSessionId, StrangerId};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/sessions/{session}/strangers/{stranger}").route(web::delete().to(dismiss)));
}

#[utoipa::path(delete, path = "/api/v1/sessions/{session}/strangers/{stranger}", tag = "attendance",
    params(("session" = GroupSessionId, Path), ("stranger" = StrangerId, Path)),
    responses((status = 204), (status = 404, description = "stranger_not_found")))]
/// Forgets an unknown face of a session: it is nobody of ours.
pub(super) async fn dismiss(
    state: Data<ApiState>,
    caller: Granted<CorrectAttendance>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    state.service.dismiss_stranger(&caller.0, path.0.parse()?, path.1.parse()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
