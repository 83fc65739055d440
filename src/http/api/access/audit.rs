//! `/audit`: what was changed, for a tenant's admins and, of the server itself, for operators.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    domain::PersonId,
    http::{
        auth::{Granted, ReadAudit},
        error::ApiError,
        page::checked_limit,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::access::audit::AuditView,
    store::AuditQuery,
};

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/audit").route(get_or_head().to(list)));
}

/// Which changes are wanted; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AuditParams {
    /// `next` of the page before.
    after: Option<u64>,
    /// Entries, 1–1000; 100 if missing.
    limit: Option<usize>,
    /// Of this action, such as `person.update`.
    action: Option<String>,
    /// By this actor: `user:ID`, `key:ID`, `machine` or `nobody`.
    actor: Option<String>,
    /// About the person of this id, who may be gone.
    #[param(value_type = Option<String>)]
    person: Option<String>,
    /// Not before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditParams),
    responses((status = 200, body = AuditView), (status = 400, description = "invalid_id")))]
/// Lists what was changed, who logged in and what was given away, in order: in the tenant (its admins), or of the server
/// itself (operator's key). Each entry holds the hash of the one before it; `rollcall audit verify` follows them.
pub(in crate::http) async fn list(
    state: Data<ApiState>,
    caller: Granted<ReadAudit>,
    params: Query<AuditParams>,
) -> Result<Json<AuditView>, ApiError> {
    let AuditParams { after, limit, action, actor, person, from, to } = params.into_inner();
    let person: Option<PersonId> = person.as_deref().map(str::parse).transpose()?;
    let query = AuditQuery { action, actor, person, from, to };
    Ok(Json(state.services.access.audit(&caller.0, query, after.unwrap_or(0), checked_limit(limit)?).await?))
}
