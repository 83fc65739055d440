//! Log lines on standard error. No image, vector, key or name is ever logged: only ids of requests, stages, counts.
//!
//! A line that is logged for a request or a job names it: its [span](super::spans) goes with the work wherever that is
//! done, through stages ([`StageSender`](crate::runtime::StageSender)), the compute pool, blocking threads
//! ([`spawn_blocking`](crate::runtime::spawn_blocking)), tasks that are [`carried`](crate::store::carried) and the
//! store's threads. What the server does by itself has none.
//!
//! Nothing waits for the log and nothing fails with it. Who logs puts a line into a bounded queue, which a thread of its
//! own writes out; a line for which there is no room, because nobody reads what was written before, and a line that
//! cannot be written are counted and gone.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal, Write},
    panic,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::json;
use tracing_subscriber::{EnvFilter, filter::ParseError, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    metrics::LOG_LINES_LOST,
    spans::{self, Whose},
};
use crate::{
    config::{Log, LogFormat},
    error::{Error, Result},
};

/// The most lines that wait to be written.
const QUEUED_LINES: usize = 4096;

/// How long the end of a process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The embedded database tells what it does while its threads end, when the subscriber's memory of them may have gone.
const DATABASE: &str = "sled=info";

/// What is no HTTP is an error to the parser, a line each; anybody can send as much of it as they like.
const PARSER: &str = "actix_http::h1=off";

static QUEUE: OnceLock<SyncSender<Entry>> = OnceLock::new();

/// What the writing thread is given.
enum Entry {
    Line(Vec<u8>),
    /// Dropped when everything before it has been written or lost.
    Mark(SyncSender<()>),
}

/// Starts logging for the process, panics included: of these the log says where and never what, which may quote
/// somebody's data. To be called before anything else is started.
///
/// # Errors
/// `Invalid` if the filter cannot be read or logging was started before; `Internal` if the system gives no thread.
pub fn start(settings: &Log) -> Result<()> {
    let unreadable = |error: ParseError| Error::invalid("log.filter cannot be read").with_source(error);
    let filter = EnvFilter::try_new(&settings.filter).map_err(unreadable)?;
    let filter = filter.add_directive(DATABASE.parse().map_err(unreadable)?);
    let filter = filter.add_directive(PARSER.parse().map_err(unreadable)?);
    let filter = filter.add_directive(format!("{}=error", spans::TARGET).parse().map_err(unreadable)?);
    let (queue, entries) = sync_channel(QUEUED_LINES);
    let lines = {
        let queue = queue.clone();
        // The subscriber would print its own failures, and panic where even that fails.
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .log_internal_errors(false)
            .with_ansi(has_colours(io::stderr().is_terminal(), env::var_os("NO_COLOR").as_deref()))
            .with_writer(move || Lines(queue.clone()))
    };
    match settings.format {
        LogFormat::Text => lines.finish().with(spans::Notes).try_init(),
        LogFormat::Json => lines.json().with_span_list(false).finish().with(spans::Notes).try_init(),
    }
    .map_err(|error| Error::invalid("logging was started twice").with_source(error))?;
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| write_out(entries))
        .map_err(|error| Error::internal("the log has no thread").with_source(error))?;
    // Never set before: the subscriber is set once.
    let _ = QUEUE.set(queue);
    let format = settings.format;
    panic::set_hook(Box::new(move |info| {
        if let Some(queue) = QUEUE.get() {
            let site = info.location().map(ToString::to_string).unwrap_or_default();
            Lines(queue.clone()).take(panicked(format, &spans::here(), &site, Timestamp::now()));
            flush();
        }
    }));
    Ok(())
}

/// Whether levels are told apart by colours: where somebody looks who did not ask for none (<https://no-color.org>). In a
/// file or a pipe their codes are rubbish.
fn has_colours(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// The line of a panic. Made without the subscriber, which has its own memory of each thread, and a thread that ends may
/// panic when that has gone: a hook that panics itself ends the process.
fn panicked(format: LogFormat, whose: &Whose, site: &str, at: Timestamp) -> Vec<u8> {
    let mut line = match format {
        LogFormat::Text => format!("{at} ERROR {whose}{}: panicked site={site:?}", module_path!()),
        LogFormat::Json => {
            let fields = json!({ "message": "panicked", "site": site });
            let mut line = json!({ "timestamp": at, "level": "ERROR", "fields": fields, "target": module_path!() });
            if let Some(span) = whose.as_json() {
                line["span"] = span;
            }
            line.to_string()
        }
    };
    line.push('\n');
    line.into_bytes()
}

/// Waits until the lines so far have been written, but not for long: for the end of the process, whichever it is.
pub fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (mark, passed) = sync_channel(0);
    if queue.try_send(Entry::Mark(mark)).is_ok() {
        // Both an end of the wait and a dropped mark mean that there is no more to wait for.
        let _ = passed.recv_timeout(LAST_LINES);
    }
}

fn write_out(entries: Receiver<Entry>) {
    for entry in entries {
        match entry {
            Entry::Line(line) if io::stderr().write_all(&line).is_err() => count_lost(),
            Entry::Line(_) => {}
            Entry::Mark(mark) => drop(mark),
        }
    }
}

fn count_lost() {
    if let Some(lost) = LOG_LINES_LOST.get() {
        lost.inc();
    }
}

/// Takes each line as one write, and never fails.
struct Lines(SyncSender<Entry>);

impl Lines {
    fn take(&self, line: Vec<u8>) {
        if self.0.try_send(Entry::Line(line)).is_err() {
            count_lost();
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_of_those_who_did_not_refuse_them() {
        let asked = |no_color: &str| has_colours(true, Some(OsStr::new(no_color)));
        assert!(has_colours(true, None) && asked("") && !asked("1"));
        assert!(!has_colours(false, None) && !has_colours(false, Some(OsStr::new(""))));
    }

    #[test]
    fn the_line_of_a_panic_is_one_line_of_the_format() {
        let at: Timestamp = "2026-11-30T01:00:00Z".parse().unwrap();
        for (format, begin) in [(LogFormat::Text, "2026-11-30T01:00:00Z ERROR "), (LogFormat::Json, "{\"fields\":{")] {
            let line = String::from_utf8(panicked(format, &spans::here(), "src/a.rs:1:2", at)).unwrap();
            assert!(line.starts_with(begin) && line.ends_with('\n') && line.contains("src/a.rs:1:2"), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}
