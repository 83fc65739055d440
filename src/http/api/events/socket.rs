//! Events through a WebSocket.

use std::time::Duration;

use actix_ws::{CloseCode, Message, MessageStream, Session};
use futures_util::StreamExt;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::service::events::Feed;

/// How often the client is asked whether it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Pings in a row after which a client that has said nothing is gone.
const MAX_UNANSWERED: u32 = 3;
/// Messages of a client between two of our pings. Nobody listens to them, but each costs, and its own pings are answered.
const MAX_HEARD: u32 = 100;
/// How long a client may read nothing while something waits to be sent.
const MAX_STALL: Duration = Duration::from_secs(30);

/// Tells the client of events until the feed ends, the client goes, or sends what is not taken. What it says is not
/// listened to.
pub(super) async fn converse(mut feed: Feed, mut session: Session, mut messages: MessageStream) {
    let mut pings = interval(PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut unanswered, mut heard) = (0, 0);
    let reason = loop {
        let sent = tokio::select! {
            told = feed.next() => match told {
                Some(told) => {
                    let text = serde_json::to_string(&told).unwrap_or_default();
                    timeout(MAX_STALL, session.text(text)).await
                }
                None => break CloseCode::Away,
            },
            message = messages.next() => {
                unanswered = 0;
                heard += 1;
                match message {
                    _ if heard > MAX_HEARD => break CloseCode::Policy,
                    Some(Ok(Message::Ping(payload))) => timeout(MAX_STALL, session.pong(&payload)).await,
                    Some(Ok(Message::Close(_))) | None => break CloseCode::Normal,
                    Some(Err(_)) => break CloseCode::Policy,
                    Some(Ok(_)) => continue,
                }
            }
            _ = pings.tick() => {
                if unanswered == MAX_UNANSWERED {
                    break CloseCode::Away;
                }
                unanswered += 1;
                heard = 0;
                timeout(MAX_STALL, session.ping(b"")).await
            }
        };
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    };
    // Fails where the client has gone already.
    let _ = session.close(Some(reason.into())).await;
}
