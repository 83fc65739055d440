//! Log lines on standard error. No image, vector, key or name is ever logged: only ids of requests, stages, counts.
//!
//! Nothing waits for the log and nothing fails with it. Who logs puts a line into a bounded queue, which a thread of its
//! own writes out; a line for which there is no room, because nobody reads what was written before, and a line that
//! cannot be written are counted and gone.

use std::{
    io::{self, Write},
    panic,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::metrics::LOG_LINES_LOST;
use crate::{
    config::{Log, LogFormat},
    error::{Error, Result},
};

/// The most lines that wait to be written.
const QUEUED_LINES: usize = 4096;

/// How long the end of a process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

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
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| Error::invalid("log.filter cannot be read").with_source(error))?;
    let (queue, entries) = sync_channel(QUEUED_LINES);
    let lines = {
        let queue = queue.clone();
        // The subscriber would print its own failures, and panic where even that fails.
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .log_internal_errors(false)
            .with_writer(move || Lines(queue.clone()))
    };
    match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    }
    .map_err(|error| Error::invalid("logging was started twice").with_source(error))?;
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| write_out(entries))
        .map_err(|error| Error::internal("the log has no thread").with_source(error))?;
    // Never set before: the subscriber is set once.
    let _ = QUEUE.set(queue);
    panic::set_hook(Box::new(|info| {
        let site = info.location().map(ToString::to_string);
        tracing::error!(site, "panicked");
        flush();
    }));
    Ok(())
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

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Entry::Line(line.to_vec())).is_err() {
            count_lost();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
