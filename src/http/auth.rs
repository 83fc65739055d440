//! Who asks, and whether they may: a key or a token becomes a scope, and handlers take the scope as an argument.
//!
//! A handler says what it does by the type of that argument, e.g. [`Granted<ReadPeople>`]: without one it has no
//! scope to call a use case with, so it does not compile.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header,
    web::{Data, Path},
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use serde::Deserialize;

use super::{address::client_address, error::ApiError, patience::Known, state::ApiState};
use crate::{
    domain::{Access, GroupId, Permission, TenantScope, unauthenticated},
    error::{Error, Result},
    service::{
        Visit,
        access::{Entered, OperatorScope, RealmScope, Scope, audit::AuditScope},
    },
};

/// The fail point behind the door: the caller was let in, and nothing is done yet.
const PERMITTED: &str = "door.permitted";
/// How long a long answer goes on before it is asked again whether its reader is still let in.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a handler asks of its caller.
pub(super) trait Permit: 'static {
    /// What its caller must be permitted.
    const PERMISSION: Permission;
    /// What it works with.
    type Scope: Scope;
}

macro_rules! permits {
    ($($permission:ident => $scope:ty,)*) => {$(
        #[doc = concat!("See [`Permission::", stringify!($permission), "`].")]
        pub(super) struct $permission;

        impl Permit for $permission {
            const PERMISSION: Permission = Permission::$permission;
            type Scope = $scope;
        }
    )*};
}

permits! {
    Operate => OperatorScope,
    ManageAccess => RealmScope,
    ReadAudit => AuditScope,
    ManageSettings => TenantScope,
    OwnAccount => Access,
    ReadPeople => TenantScope,
    ManagePeople => Visit,
    ListGroups => Access,
    ReadGroup => TenantScope,
    ManageGroups => TenantScope,
    Recognise => Visit,
    RecogniseMany => TenantScope,
    SeeJobs => Access,
    ReadAttendance => TenantScope,
    CorrectAttendance => TenantScope,
    Identify => Visit,
    ReportAttendance => Access,
    ReadReports => TenantScope,
    MaintainGallery => TenantScope,
    ReadEvents => Access,
    ManageWebhooks => TenantScope,
}

/// A handler with this argument serves callers who are permitted `P`.
pub(super) struct Granted<P: Permit>(pub(super) P::Scope);

impl<P: Permit> FromRequest for Granted<P> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(Self(P::Scope::of(permitted::<P>(&request).await?)?)) })
    }
}

/// The group that a path names, by itself or by one of its sessions.
#[derive(Deserialize)]
struct GroupInPath {
    group: Option<String>,
    session: Option<String>,
}

/// The caller, if they are permitted `P` on the group of the path.
pub(super) async fn permitted<P: Permit>(request: &HttpRequest) -> Result<Entered> {
    let mut entered = entered(request).await?;
    let access = &entered.access;
    let path = Path::<GroupInPath>::extract(request).await;
    let path = path.map_err(|_| Error::invalid("the path cannot be read").with_code("invalid_id"))?;
    let GroupInPath { group, session } = path.into_inner();
    let mut group: Option<GroupId> = group.as_deref().map(str::parse).transpose()?;
    if let Some(session) = session {
        access.require_role(P::PERMISSION)?;
        let state = state(request)?;
        group = Some(state.services.attendance.group_of_session(&access.tenant_scope()?, session.parse()?).await?);
    }
    entered.access = entered.access.permitted(P::PERMISSION, group)?;
    state(request)?.services.pipeline().tools().faults.hit_async(PERMITTED).await;
    Ok(entered)
}

/// The caller's access, whatever it permits.
pub(super) async fn authenticated(request: &HttpRequest) -> Result<Access> {
    Ok(entered(request).await?.access)
}

/// The caller. Asked for once a request, however many need it: asking is counted.
async fn entered(request: &HttpRequest) -> Result<Entered> {
    if let Some(entered) = request.extensions().get::<Entered>() {
        return Ok(entered.clone());
    }
    let state = state(request)?;
    let from = client_address(request, &state.trusted_proxies);
    let entered = state.services.access.authenticate(&credential(request)?, from).await?;
    Known::note(request);
    request.extensions_mut().insert(entered.clone());
    Ok(entered)
}

/// The parts of a long answer, for as long as the caller is let in with the same rights; then an error, which cuts the
/// answer off.
pub(super) async fn while_let_in<S: Stream<Item = Result<Bytes>>>(
    request: &HttpRequest,
    parts: S,
) -> Result<impl Stream<Item = Result<Bytes>> + use<S>> {
    let (state, access) = (state(request)?, authenticated(request).await?);
    let mut asked_at = Instant::now();
    Ok(parts.and_then(move |part| {
        let is_due = asked_at.elapsed() >= ASK_AGAIN_AFTER;
        if is_due {
            asked_at = Instant::now();
        }
        let (state, access) = (state.clone(), access.clone());
        async move {
            if is_due && !state.services.store().still_grants(&access).await? {
                return Err(unauthenticated());
            }
            Ok(part)
        }
    }))
}

/// The server's state.
pub(super) fn state(request: &HttpRequest) -> Result<Data<ApiState>> {
    request
        .app_data::<Data<ApiState>>()
        .cloned()
        .ok_or_else(|| Error::internal("the server was built without its state"))
}

/// The key or token of a request: `Authorization: Bearer KEY` or `X-API-Key: KEY`.
fn credential(request: &HttpRequest) -> Result<String> {
    let headers = request.headers();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let given = bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
    given.filter(|key| !key.is_empty()).map(str::to_owned).ok_or_else(unauthenticated)
}
