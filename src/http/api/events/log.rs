//! `/events`: what happens, read, listened to, or pushed through a WebSocket.

use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::{
        Method,
        header::{self, HeaderName},
    },
    web::{self, Data, Json, Query, ServiceConfig},
};
use serde::Deserialize;
use tracing::Instrument;
use utoipa::IntoParams;

use super::{frames, socket, sse};
use crate::{
    domain::{Access, Permission},
    error::{Error, Result},
    events::Transport,
    http::{
        api::forms::StreamedEvent,
        auth::{self, Granted, ReadEvents},
        error::ApiError,
        route::{get_or_head, resource},
        state::ApiState,
    },
    service::events::{EventList, EventsWanted, TicketView},
};

/// Where a WebSocket is opened: what a client sends there is no body, and may take for ever.
pub(in crate::http) const SOCKET: &str = "/api/v1/events/ws";

/// Where a stream is taken up again, as browsers send it.
pub(in crate::http) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The most events of a page.
const MAX_PAGE: usize = 1000;

pub(in crate::http) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/events").route(get_or_head().to(list)))
        .service(resource("/events/ws").route(web::get().to(open)))
        .service(resource("/events/ticket").route(web::post().to(ticket)));
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Wanted {
    /// Those after the event of this number. Missing: a list begins with the first that is kept, a stream with the next
    /// that happens. A stream's header `Last-Event-ID` counts before this.
    after: Option<u64>,
    /// Their kinds, with commas between them; all if missing.
    #[param(example = "marked,corrected")]
    kinds: Option<String>,
    /// Their group.
    group: Option<String>,
    /// Events looked at for a list, 1–1000; 100 if missing.
    limit: Option<usize>,
    /// Instead of a key, where a browser can send none.
    ticket: Option<String>,
}

impl Wanted {
    fn parse(&self) -> Result<EventsWanted> {
        let kinds = self.kinds.iter().flat_map(|kinds| kinds.split(',')).map(str::trim).filter(|kind| !kind.is_empty());
        Ok(EventsWanted {
            after: self.after,
            kinds: kinds.map(str::parse).collect::<Result<_>>()?,
            group: self.group.as_deref().map(str::parse).transpose()?,
        })
    }
}

/// A caller who may read events, by key, token or ticket.
pub(in crate::http) struct Listener(Access);

impl FromRequest for Listener {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let wanted = Query::<Wanted>::from_query(request.query_string()).ok();
            let Some(ticket) = wanted.and_then(|wanted| wanted.into_inner().ticket) else {
                return Ok(Self(auth::permitted::<ReadEvents>(&request).await?.access));
            };
            let access = auth::state(&request)?.services.events.redeem(&ticket).await?;
            access.require(Permission::ReadEvents, None)?;
            Ok(Self(access))
        })
    }
}

#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Wanted),
    responses(
        (status = 200, content(
            (EventList = "application/json"),
            (StreamedEvent = "text/event-stream",
                example = json!({"event": "marked", "id": "7", "data": "{\"id\":7,\"kind\":\"marked\"}"})),
        )),
        (status = 400, description = "invalid_kind, invalid_id"), (status = 404, description = "group_not_found"),
        (status = 429, description = "too_many_streams")))]
/// Lists events; with `Accept: text/event-stream`, streams them.
pub(in crate::http) async fn list(
    request: HttpRequest,
    state: Data<ApiState>,
    caller: Listener,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, ApiError> {
    let limit = wanted.limit.unwrap_or(100);
    let mut wanted = wanted.parse()?;
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if request.method() == Method::GET && accepts.contains("text/event-stream") {
        let resumed = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
        wanted.after = resumed.or(wanted.after);
        return Ok(sse::stream(state.services.events.listen(caller.0, wanted, Transport::Sse).await?));
    }
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid(format!("limit is 1 to {MAX_PAGE}")).with_code("invalid_limit").into());
    }
    Ok(HttpResponse::Ok().json(state.services.events.events(&caller.0, wanted, limit).await?))
}

#[utoipa::path(get, path = "/api/v1/events/ws", tag = "events", params(Wanted),
    responses((status = 101, description = "A WebSocket: a text message an event."),
        (status = 400, description = "invalid_kind, invalid_id, websocket_required"),
        (status = 404, description = "group_not_found"), (status = 429, description = "too_many_streams")))]
/// Streams events through a WebSocket.
pub(in crate::http) async fn open(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<ApiState>,
    caller: Listener,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, ApiError> {
    let wanted = wanted.parse()?;
    let payload = web::Payload::from_request(&request, &mut frames::bounded(payload.into_inner())).await;
    let payload = payload.map_err(|_| Error::internal("a socket has no bytes to read"))?;
    let (answer, session, messages) = actix_ws::handle(&request, payload).map_err(|_| {
        Error::invalid("this route speaks WebSocket: ask for an upgrade").with_code("websocket_required")
    })?;
    let feed = state.services.events.listen(caller.0, wanted, Transport::WebSocket).await?;
    actix_web::rt::spawn(socket::converse(feed, session, messages).in_current_span());
    Ok(answer)
}

#[utoipa::path(post, path = "/api/v1/events/ticket", tag = "events",
    responses((status = 200, body = TicketView), (status = 429, description = "too_many_tickets")))]
/// Gives a ticket that opens `/events` or `/events/ws` once, within a minute, with the caller's rights.
pub(in crate::http) async fn ticket(
    state: Data<ApiState>,
    caller: Granted<ReadEvents>,
) -> Result<Json<TicketView>, ApiError> {
    Ok(Json(state.services.events.event_ticket(caller.0)?))
}
