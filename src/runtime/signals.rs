//! SIGTERM and SIGINT, heard on a thread of their own: whatever else hangs, they end the process in bounded time.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{self, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::shutdown::Shutdown;

/// Why the process is to end without waiting any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The first signal came before anything was served: there is nothing to finish.
    Starting,
    /// A second signal came.
    AtOnce,
    /// The orderly end, which the first signal asked for, did not come in time.
    Late,
}

/// Tells the listening thread how far the process is.
#[derive(Debug)]
pub struct Signals {
    serving: Arc<AtomicBool>,
}

impl Signals {
    /// From here on the first signal asks for the orderly end.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::Release);
    }
}

/// Takes SIGTERM and SIGINT from here on. Once [`serving`](Signals::serving), the first triggers `shutdown`, after which
/// the process has `patience` to end; else `end` is called, once, which for a server ends it.
///
/// # Errors
/// The system's, where it refuses the handlers or the thread.
pub fn listen_for_signals(
    shutdown: Shutdown,
    patience: Duration,
    end: impl FnOnce(Ending) + Send + 'static,
) -> io::Result<Signals> {
    let own = runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = StopSignals::listen(&own)?;
    let serving = Arc::new(AtomicBool::default());
    let signals = Signals { serving: Arc::clone(&serving) };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || end(own.block_on(ending(stop, &serving, &shutdown, patience))))?;
    Ok(signals)
}

async fn ending(mut stop: StopSignals, serving: &AtomicBool, shutdown: &Shutdown, patience: Duration) -> Ending {
    stop.next().await;
    if !serving.load(Ordering::Acquire) {
        return Ending::Starting;
    }
    tracing::info!("stopping; a second signal ends the process at once");
    shutdown.trigger();
    match timeout(patience, stop.next()).await {
        Ok(()) => Ending::AtOnce,
        Err(_) => Ending::Late,
    }
}

struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen(on: &Runtime) -> io::Result<Self> {
        let _on = on.enter();
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::{self, Command},
        sync::mpsc::{Receiver, channel},
    };

    use super::{super::shutdown::ShutdownSignal, *};

    const LONG: Duration = Duration::from_secs(60);

    fn send_sigterm_to_this_process() {
        let kill = format!("kill -TERM {}", process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn listen(patience: Duration) -> (Signals, ShutdownSignal, Receiver<Ending>) {
        let shutdown = Shutdown::default();
        let (heard, ending) = channel();
        let asked = shutdown.signal();
        let signals = listen_for_signals(shutdown, patience, move |ending| heard.send(ending).unwrap()).unwrap();
        (signals, asked, ending)
    }

    /// One test, as every listener of the process hears its signals. Nobody's runtime but the listeners' own runs.
    #[test]
    fn the_first_signal_asks_for_the_end_and_the_next_or_the_time_ends() {
        let (_signals, asked, ending) = listen(LONG);
        send_sigterm_to_this_process();
        assert_eq!(ending.recv_timeout(LONG), Ok(Ending::Starting));
        assert!(!asked.requested());

        let (signals, asked, ending) = listen(LONG);
        signals.serving();
        send_sigterm_to_this_process();
        while !asked.requested() {
            thread::yield_now();
        }
        assert!(ending.try_recv().is_err());
        send_sigterm_to_this_process();
        assert_eq!(ending.recv_timeout(LONG), Ok(Ending::AtOnce));

        let (signals, asked, ending) = listen(Duration::ZERO);
        signals.serving();
        send_sigterm_to_this_process();
        assert_eq!(ending.recv_timeout(LONG), Ok(Ending::Late));
        assert!(asked.requested());
    }
}
