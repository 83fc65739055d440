//! The spans of requests and jobs, and which of them the present thread works in: for the line of a panic, which is
//! written without the subscriber.

use std::{cell::Cell, fmt};

use serde_json::{Map, Value};
use tracing::{
    Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::{LookupSpan, SpanRef},
};

use crate::domain::JobId;

/// The target of spans. They are made whatever the filter says of other modules: no line lacks its request.
pub(super) const TARGET: &str = "rollcall::span";

/// The longest text of an id that is noted, in bytes; the door takes none that is longer.
const ID_BYTES: usize = 64;

/// The span of a request.
pub fn request_span(id: &str) -> Span {
    tracing::error_span!(target: TARGET, "request", request_id = id)
}

/// The span of a job, and of the request that it was started by.
pub fn job_span(job: JobId, request: Option<&str>) -> Span {
    tracing::error_span!(target: TARGET, "job", %job, request_id = request)
}

thread_local! {
    /// Without a destructor, so that a thread still has it when it ends.
    static HERE: Cell<Whose> = const { Cell::new(Whose::NOBODYS) };
}

/// Whom the present thread works for.
pub(super) fn here() -> Whose {
    HERE.get()
}

/// The ids of a span; empty where it has none.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    job: Text,
    request: Text,
}

impl Whose {
    const NOBODYS: Self = Self { job: Text::EMPTY, request: Text::EMPTY };

    /// As lines of the format `json` show the span, if there is one.
    pub(super) fn as_json(&self) -> Option<Value> {
        let ids = [("job", &self.job), ("request_id", &self.request)];
        let ids = ids.into_iter().filter(|(_, id)| id.len > 0);
        let mut span: Map<_, _> = ids.map(|(name, id)| (name.to_owned(), id.as_str().into())).collect();
        let name = if self.job.len > 0 { "job" } else { "request" };
        (!span.is_empty()).then(|| {
            span.insert("name".to_owned(), name.into());
            span.into()
        })
    }
}

/// As lines of the format `text` begin in the span.
impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (job, request) = (self.job.as_str(), self.request.as_str());
        match (job, request) {
            ("", "") => Ok(()),
            ("", _) => write!(f, "request{{request_id={request:?}}}: "),
            (_, "") => write!(f, "job{{job={job}}}: "),
            _ => write!(f, "job{{job={job} request_id={request:?}}}: "),
        }
    }
}

impl Visit for Whose {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "request_id" {
            self.request = Text::of(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "job" {
            self.job = Text::of(&format!("{value:?}"));
        }
    }
}

/// A short text that needs no destructor.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; ID_BYTES],
    len: usize,
}

impl Text {
    const EMPTY: Self = Self { bytes: [0; ID_BYTES], len: 0 };

    /// None of a text that is too long.
    fn of(text: &str) -> Self {
        let mut copy = Self::EMPTY;
        if let Some(bytes) = copy.bytes.get_mut(..text.len()) {
            bytes.copy_from_slice(text.as_bytes());
            copy.len = text.len();
        }
        copy
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// Notes on every thread whom it works for.
pub(super) struct Notes;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Notes {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() == TARGET
            && let Some(span) = context.span(id)
        {
            let mut whose = Whose::NOBODYS;
            attributes.record(&mut whose);
            span.extensions_mut().insert(whose);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        HERE.set(whose(context.span(id).as_ref()));
    }

    fn on_exit(&self, _: &Id, context: Context<'_, S>) {
        HERE.set(whose(context.lookup_current().as_ref()));
    }
}

/// Whose a span is: its own ids, or those of the span around it.
fn whose<'a, S: LookupSpan<'a>>(span: Option<&SpanRef<'a, S>>) -> Whose {
    let around = span.into_iter().flat_map(SpanRef::scope);
    let mut ids = around.filter_map(|span| span.extensions().get::<Whose>().copied());
    ids.next().unwrap_or(Whose::NOBODYS)
}

#[cfg(test)]
mod tests {
    use tracing::{Instrument, subscriber::with_default};
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::{runtime::spawn_blocking, store::carried};

    #[test]
    fn a_span_goes_along_to_other_threads_and_ends_with_the_work() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        with_default(registry().with(Notes), || {
            let job: JobId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
            let said = |whose: Whose| (whose.to_string(), whose.as_json().unwrap_or_default());
            let blocking = async || said(spawn_blocking(here).await.unwrap());
            runtime.block_on(async {
                let (text, json) = blocking().instrument(request_span("r-1")).await;
                assert_eq!((text.as_str(), &json["request_id"]), ("request{request_id=\"r-1\"}: ", &"r-1".into()));
                let spawned = async { said(tokio::spawn(carried(async { here() })).await.unwrap()) };
                let (text, json) = spawned.instrument(job_span(job, Some("r-2"))).await;
                assert_eq!(text, format!("job{{job={job} request_id=\"r-2\"}}: "));
                assert_eq!((&json["name"], &json["job"]), (&"job".into(), &job.to_string().into()));
                assert_eq!(blocking().await, (String::new(), Value::Null));
            });
        });
    }

    #[test]
    fn a_span_within_a_span_is_its_own() {
        with_default(registry().with(Notes), || {
            request_span("outer").in_scope(|| {
                request_span(&"x".repeat(ID_BYTES + 1)).in_scope(|| assert!(here().as_json().is_none()));
                tracing::error_span!("other").in_scope(|| assert!(here().to_string().contains("outer")));
                assert!(here().to_string().contains("outer"));
            });
            assert!(here().as_json().is_none());
        });
    }
}
