//! Events as server-sent events.

use std::{fmt::Write, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{HeaderName, HeaderValue},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use crate::{
    error::Error,
    service::events::{Feed, Told},
};

/// How often a stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Sent at once, so that the client knows that it is connected: how long it waits before it connects again.
const GREETING: &str = "retry: 2000\n\n";

/// The answer that goes on until the feed ends. The feed is read as fast as the client reads.
pub(super) fn stream(feed: Feed) -> HttpResponse {
    let frames = stream::unfold((Some(GREETING.to_owned()), feed), |(first, mut feed)| async move {
        let frame = match first {
            Some(greeting) => greeting,
            None => match timeout(HEARTBEAT, feed.next()).await {
                Ok(told) => frame(&told?),
                Err(_) => ": alive\n\n".to_owned(),
            },
        };
        Some((Ok::<_, Error>(Bytes::from(frame)), (None, feed)))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies would wait for more.
        .insert_header((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")))
        .streaming(frames)
}

fn frame(told: &Told) -> String {
    let mut frame = format!("event: {}\n", told.name());
    if let Some(id) = told.id() {
        // Writing into a text does not fail.
        let _ = writeln!(frame, "id: {id}");
    }
    // JSON has no line breaks of its own.
    let data = serde_json::to_string(told).unwrap_or_default();
    let _ = write!(frame, "data: {data}\n\n");
    frame
}
