//! `Idempotency-Key`: a POST that makes something, sent again under the same key, is answered again and not done again.
//!
//! A key counts for whoever sends it (a user or an API key), one method and one path, and for as long as they may make the
//! request. The first request under it runs to its end
//! even if its client hangs up. If it succeeds, its answer is kept; if it fails, it may be made again. What the store
//! notes together with the request's effect (see [`Claim`]) holds after a crash too: a request that had no effect runs
//! again, one whose answer was lost is not repeated and says so.

mod digest;
mod register;

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse, Route,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ContentType, HeaderName, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::Data,
};
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

pub use self::register::Register;
use self::{digest::BodyDigest, register::Owner};
use super::{
    auth::{self, Permit},
    error::ApiError,
    state::ApiState,
};
use crate::{
    domain::{Realm, Right},
    error::{Error as CrateError, ErrorKind, Result},
    store::{Claim, KeptAnswer, carried, under_claim},
};

/// Under which a client sends its key.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on an answer that was kept.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;
/// The longest answer that is kept, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Whether an answer may be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Answers,
    /// The answer shows a secret: only that it was given is kept.
    Secrets,
}

/// The route of a POST that makes something, with its handler already; `P` is what that asks of its caller, for a kept
/// answer is given only to who may still make the request.
pub(super) fn creating<P: Permit>(route: Route) -> Route {
    route.wrap(from_fn(|request, next| once::<P>(request, next, Keeping::Answers)))
}

/// Likewise, where the answer shows a secret.
pub(super) fn creating_secret<P: Permit>(route: Route) -> Route {
    route.wrap(from_fn(|request, next| once::<P>(request, next, Keeping::Secrets)))
}

async fn once<P: Permit>(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    keeping: Keeping,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.headers().contains_key(KEY) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let payload = request.take_payload();
    let attempt = match Attempt::begin::<P>(request.request(), keeping).await {
        Ok(attempt) => attempt,
        Err(error) => return Ok(request.error_response(ApiError(error))),
    };
    match attempt.state.services.store().answer(&attempt.claim).await {
        Ok(Some(kept)) if !attempt.is_expired(&kept) => Ok(match attempt.replay(kept, payload).await {
            Ok(answer) => request.into_response(answer),
            Err(error) => request.error_response(ApiError(error)),
        }),
        Ok(_) => {
            request.set_payload(attempt.digested(payload));
            // A client that hangs up drops this future, and will ask for the answer.
            let run = actix_web::rt::spawn(carried(attempt.run(request, next)));
            run.await.map_err(|lost| ApiError(CrateError::internal("a request was cut short").with_source(lost)))?
        }
        Err(error) => Ok(request.error_response(ApiError(error))),
    }
}

/// One request under a key, the only one at this moment.
struct Attempt {
    state: Data<ApiState>,
    owner: Owner,
    right: Right,
    claim: Arc<Claim>,
    body: Arc<Mutex<BodyDigest>>,
    keeping: Keeping,
    _turn: register::Turn,
}

impl Attempt {
    async fn begin<P: Permit>(request: &HttpRequest, keeping: Keeping) -> Result<Self> {
        let state = auth::state(request)?;
        let key = given_key(request)?;
        let access = auth::permitted::<P>(request).await?.access;
        let tenant = match &access.grant().realm {
            Realm::Tenant(tenant) => Some(tenant.clone()),
            Realm::Server => None,
        };
        let owner = Owner { tenant, actor: access.actor().clone() };
        let mut id = Sha256::new();
        for part in [&owner.actor.to_string(), request.method().as_str(), &request.uri().to_string(), key] {
            id.update(Sha256::digest(part));
        }
        let body = Arc::new(Mutex::new(BodyDigest::new(request.headers())));
        let note = {
            let (body, at) = (Arc::clone(&body), state.services.now());
            move || KeptAnswer { body: digest_of(&body), at, answer: None }
        };
        let claim = Arc::new(Claim::new(owner.tenant.as_ref(), &id.finalize().into(), note));
        let turn = state.idempotency.begin(claim.key())?;
        Ok(Self { state, owner, right: access.right(), claim, body, keeping, _turn: turn })
    }

    fn is_expired(&self, kept: &KeptAnswer) -> bool {
        kept.at < self.state.idempotency.kept_since(self.state.services.now())
    }

    /// The payload, digested as it is read.
    fn digested(&self, payload: Payload) -> Payload {
        let body = Arc::clone(&self.body);
        Payload::from(payload.inspect_ok(move |chunk| update(&body, chunk)).boxed_local())
    }

    /// The kept answer, where this body is the first one's.
    async fn replay(&self, kept: KeptAnswer, mut payload: Payload) -> Result<HttpResponse> {
        // What was too large for the first request is refused by its limit.
        let mut left = self.state.limits.body_bytes.max(self.state.services.jobs.desk().options.max_upload_bytes);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| CrateError::invalid("the body cannot be read").with_source(error))?;
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| {
                CrateError::new(ErrorKind::TooLarge, "the body is too large").with_code("body_too_large")
            })?;
            update(&self.body, &chunk);
        }
        if digest_of(&self.body) != kept.body {
            return Err(conflict("idempotency_key_reused", "this key was used for a request with another body"));
        }
        // Its body may have come slowly.
        self.state.services.store().require_right(&self.right).await?;
        let Some((status, body)) = kept.answer else {
            return Err(conflict(
                "idempotency_answer_gone",
                "the first request under this key took effect, but its answer was lost, showed a secret or was of somebody who has been erased: look it up",
            ));
        };
        let status = StatusCode::from_u16(status)
            .map_err(|error| CrateError::storage("a kept answer has no status").with_source(error))?;
        let mut answer = HttpResponse::build(status);
        answer.insert_header((REPLAYED, HeaderValue::from_static("true")));
        Ok(if body.is_empty() { answer.finish() } else { answer.content_type(ContentType::json()).body(body) })
    }

    /// Makes the request, then keeps its answer or forgets that it was made.
    async fn run<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        if let Err(error) = self.state.idempotency.require_room(&self.owner, self.state.services.now()) {
            return Ok(request.error_response(ApiError(error)));
        }
        let answer = under_claim(Some(Arc::clone(&self.claim)), next.call(request)).await?;
        let (request, answer) = answer.map_into_boxed_body().into_parts();
        let store = self.state.services.store();
        if !answer.status().is_success() {
            store.forget_answer(&self.claim).await.map_err(ApiError)?;
            return Ok(ServiceResponse::new(request, answer));
        }
        let (head, body) = answer.into_parts();
        let (kept, body) = match body.try_into_bytes() {
            Ok(bytes) => {
                let keep = self.keeping == Keeping::Answers && bytes.len() <= MAX_ANSWER_BYTES;
                (keep.then(|| (head.status().as_u16(), bytes.to_vec())), BoxBody::new(bytes))
            }
            Err(stream) => (None, stream),
        };
        // The effect stands and is noted, whether or not its answer can be kept.
        if let Err(error) = store.keep_answer(&self.claim, kept).await {
            tracing::warn!(%error, "an answer could not be kept for its idempotency key");
        }
        self.state.idempotency.count(&self.owner, self.state.services.now());
        Ok(ServiceResponse::new(request, head.set_body(body)))
    }
}

fn given_key(request: &HttpRequest) -> Result<&str> {
    let mut values = request.headers().get_all(KEY);
    let key = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits = (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || values.next().is_some() {
        let message = format!("Idempotency-Key is one of 1 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(CrateError::invalid(message).with_code("invalid_idempotency_key"));
    }
    Ok(key)
}

fn update(body: &Mutex<BodyDigest>, chunk: &[u8]) {
    body.lock().unwrap_or_else(PoisonError::into_inner).update(chunk);
}

fn digest_of(body: &Mutex<BodyDigest>) -> [u8; 32] {
    body.lock().unwrap_or_else(PoisonError::into_inner).value()
}

fn conflict(code: &'static str, message: &'static str) -> CrateError {
    CrateError::new(ErrorKind::Conflict, message).with_code(code)
}
