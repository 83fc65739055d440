//! The real binary, for what only a process can show: signals, exit codes, kill -9.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

#[cfg(debug_assertions)]
use rollcall::{
    app::App,
    config::Settings,
    runtime::{Faults, Shutdown, listen_for_signals},
};
use tokio::time::sleep;

use super::{Api, eventually, server::read_key};

/// A running `rollcall serve`.
pub(crate) struct ServerProcess {
    pub(crate) api: Api,
    child: Child,
}

fn serve(data: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.envs(settings.iter().copied());
    command.arg("--data").arg(data).args(["serve", "--address", "127.0.0.1:0"]).stdin(Stdio::null());
    command
}

impl ServerProcess {
    /// Starts a server on `data` and waits until it is ready.
    pub(crate) async fn start(data: &Path) -> Self {
        Self::with(data, &[]).await
    }

    /// The same with settings from the environment: `("ROLLCALL__GALLERY__PLAN", "exact")`.
    pub(crate) async fn with(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::writing_to(data, settings, Stdio::null(), Stdio::null()).await
    }

    /// The same with its standard output and standard error given.
    pub(crate) async fn writing_to(data: &Path, settings: &[(&str, &str)], out: Stdio, err: Stdio) -> Self {
        let mut command = serve(data, settings);
        command.stdout(out).stderr(err);
        Self::spawn(data, command).await
    }

    /// The same with a server that is a test of this very binary, told by the variable `told` where its data is.
    pub(crate) async fn of_this_binary(test: &str, told: &str, data: &Path) -> Self {
        Self::of_this_binary_with(test, &[(told, data.to_str().unwrap())], data, Stdio::null()).await
    }

    /// The same with all the variables that it is told something by, and its standard error given.
    pub(crate) async fn of_this_binary_with(test: &str, told: &[(&str, &str)], data: &Path, err: Stdio) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).envs(told.iter().copied()).stdout(Stdio::null()).stderr(err);
        Self::spawn(data, command).await
    }

    async fn spawn(data: &Path, mut command: Command) -> Self {
        let address_file = data.join("server.address");
        drop(fs::remove_file(&address_file));
        let child = command.spawn().unwrap();
        let address = async || fs::read_to_string(&address_file).ok().filter(|address| !address.is_empty());
        eventually("the server writes its address", async || address().await.is_some()).await;
        let url = format!("http://{}", address().await.unwrap().lines().next().unwrap());
        Self { api: Api::new(url, read_key(data, "default.key")), child }
    }

    /// Starts a server on `data` that will not be ready, and returns once it has said so much.
    pub(crate) fn starting(
        data: &Path,
        settings: &[(&str, &str)],
        said: &str,
    ) -> (Child, impl Iterator<Item = String>) {
        let mut child = serve(data, settings).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(said)), "{said}");
        (child, lines)
    }

    /// Runs a server that is expected to give up by itself.
    pub(crate) fn fail_on(data: &Path) -> Output {
        serve(data, &[]).output().unwrap()
    }

    /// Starts a server on `data` and kills it so soon that it has hardly begun.
    pub(crate) async fn kill_in_its_start(data: &Path, after: Duration) {
        let mut child = serve(data, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(after).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks for an orderly end.
    pub(crate) fn terminate(&self) {
        terminate(&self.child);
    }

    /// Stops all of its threads until [`Self::resume`].
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The exit status, once it has ended.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

/// What such a test does: it serves until SIGTERM, with faults planted, and ends the process if that takes long.
#[cfg(debug_assertions)]
pub(crate) fn serve_here(settings: Settings, faults: Faults) {
    let shutdown = Shutdown::default();
    let asked = shutdown.signal();
    let signals = listen_for_signals(shutdown, Duration::from_secs(5), |_| std::process::exit(124)).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    actix::System::new().block_on(async move {
        let app = App::build(settings, faults).await.unwrap();
        signals.serving();
        Box::pin(app.serve(listener, asked, |_| ())).await.unwrap();
    });
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    signal(child, "-TERM");
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
