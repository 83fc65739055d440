//! Running the program, and the folders it works on.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// How a run of the program ended.
pub(super) struct Output {
    pub(super) ok: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Output {
    /// The lines of standard output as JSON.
    pub(super) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(super) fn succeeded(self) -> Self {
        assert!(self.ok, "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(super) fn failed_saying(self, text: &str) -> Self {
        assert!(!self.ok, "{}", self.out);
        assert!(self.err.contains(text), "{}", self.err);
        self
    }

    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not in:\n{}", self.out);
        self
    }
}

/// The program, with nothing of the tester's own environment.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.args(args);
    for variable in ["ROLLCALL_KEY", "ROLLCALL_DATA", "ROLLCALL_CONFIG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs the program to its end.
pub(super) fn rollcall(args: &[&str]) -> Output {
    rollcall_with(args, "")
}

/// The same with `input` to read.
pub(super) fn rollcall_with(args: &[&str], input: &str) -> Output {
    let mut child = program(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that reads nothing may have ended already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let done = child.wait_with_output().unwrap();
    Output {
        ok: done.status.success(),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

/// A data folder, and folders of images beside it.
pub(super) struct Place {
    dir: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a command on this data folder.
    pub(super) fn run(&self, args: &[&str]) -> Output {
        let data = self.data();
        let data = ["--data", text(&data)];
        rollcall(&[args, &data].concat())
    }

    /// The same with `input` to read.
    pub(super) fn run_with(&self, args: &[&str], input: &str) -> Output {
        let data = self.data();
        rollcall_with(&[args, &["--data", text(&data)]].concat(), input)
    }

    /// A copy of a portrait, or any bytes, at a path of this place.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A class of two: Barack Obama with two shots, biden with one. Returns its folder.
    pub(super) fn class(&self) -> String {
        self.put("class/Barack Obama/1.jpg", &portrait("obama"));
        self.put("class/Barack Obama/2.jpg", &portrait("obama2"));
        self.put("class/biden/1.jpg", &portrait("biden"));
        text(&self.path("class")).to_owned()
    }

    /// A server on this data folder until it is dropped.
    pub(super) fn serve(&self) -> Server {
        let data = self.data();
        let args = ["serve", "--address", "127.0.0.1:0", "--data", text(&data)];
        let quiet = program(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Server(quiet);
        let address = rollcall::app::address_path(&data);
        let start = Instant::now();
        while fs::read_to_string(&address).unwrap_or_default().is_empty() {
            assert!(start.elapsed() < START, "the server does not start");
            sleep(Duration::from_millis(20));
        }
        server
    }
}

/// A running server; killed when dropped, which leaves its address file behind.
pub(super) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(super) fn portrait_path(shot: &str) -> String {
    format!("{}/tests/fixtures/portraits/{shot}.jpg", env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn portrait(shot: &str) -> Vec<u8> {
    fs::read(portrait_path(shot)).unwrap()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
