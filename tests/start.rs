//! How a server begins: what it says, to whom it listens, and below which path it is shown.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::Method;

use crate::support::{Answer, Api, TestServer, eventually, process::terminate};

fn rollcall(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("--data").arg(data).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running server; killed when dropped.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    async fn start(data: &Path, args: &[&str], settings: &[(&str, &str)]) -> Self {
        let child = rollcall(data, args).envs(settings.iter().copied()).spawn().unwrap();
        let mut running = Self { child, address: String::new() };
        let file = data.join("server.address");
        eventually("the server writes its address", async || {
            running.address = fs::read_to_string(&file).unwrap_or_default();
            running.address.ends_with('\n')
        })
        .await;
        running
    }

    fn address(&self) -> &str {
        self.address.trim()
    }

    /// Stops it, and gives what it wrote to standard output and to standard error.
    fn written(mut self) -> (String, String) {
        terminate(&self.child);
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(self.child.wait().unwrap().success(), "{err}");
        (out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_where_to_open_it_in_one_line_by_its_true_address() {
    let data = tempfile::tempdir().unwrap();
    let prefix = ("ROLLCALL__SERVER__PREFIX", "/school/rollcall");
    let server = Running::start(data.path(), &["serve", "--address", "127.0.0.1:0"], &[prefix]).await;
    let url = format!("http://{}", server.address());
    let api = Api::new(url.clone(), String::new()).without_key();
    assert_eq!(api.get("/school/rollcall/docs").await.status, 200);
    let (out, err) = server.written();
    assert_eq!(out, format!("Open {url}/school/rollcall/docs\n"));
    assert!(err.contains("ready") && !err.contains('\u{1b}'), "no codes of colours in a pipe: {err}");
}

#[test]
fn no_command_writes_codes_of_colours_where_nobody_looks() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let portraits = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/portraits");
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/class/second.jpg");
    let commands: [&[&str]; 10] = [
        &["--help"],
        &["no-such-command"],
        &["tls", "init"],
        &["tls", "init"],
        &["user", "list"],
        &["enroll", portraits],
        &["recognize", photo],
        &["recognize", "missing.jpg"],
        &["check"],
        &["audit", "verify"],
    ];
    for command in commands {
        let done = rollcall(&data, command).output().unwrap();
        for written in [done.stdout, done.stderr] {
            let written = String::from_utf8(written).unwrap();
            assert!(!written.contains('\u{1b}'), "{command:?}: {written:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_beyond_this_machine_wants_tls_or_a_word_that_it_need_not() {
    let data = tempfile::tempdir().unwrap();
    let exposed = ["serve", "--address", "0.0.0.0:0"];
    let refused = rollcall(data.path(), &exposed).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && !data.path().join("store").exists(), "{told}");
    for way_out in ["rollcall tls init", "server.trusted_proxies", "--insecure"] {
        assert!(told.contains(way_out), "{told}");
    }
    let server = Running::start(data.path(), &[&exposed[..], &["--insecure"]].concat(), &[]).await;
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    let (out, _) = server.written();
    assert!(out.starts_with("Open http://") && out.ends_with(&format!(":{port}/docs\n")), "{out}");
    assert!(!out.contains("0.0.0.0"), "nobody can open that: {out}");
}

#[tokio::test]
async fn below_a_path_everything_is_where_it_is_at_the_root() {
    let server = TestServer::with(&[("server.prefix", "/school/rollcall/")]).await;
    server.api.group("g").await;
    let description = server.api.get("/school/rollcall/openapi.json").await.expect(200);
    assert_eq!(description["servers"][0]["url"], "/school/rollcall");
    // A proxy that leaves the path there, and one that strips it.
    for prefix in ["/school/rollcall", ""] {
        for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs/", "/api/v1/groups/g"] {
            assert_eq!(server.api.get(&format!("{prefix}{path}")).await.status, 200, "{prefix}{path}");
        }
        let moved = server.api.get(&format!("{prefix}/docs")).await;
        assert_eq!(moved.status, 200, "redirected to where the page is");
        let wrong = Answer::to(server.api.request(Method::PUT, &format!("{prefix}/api/v1/groups"))).await;
        assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, POST"));
    }
    for elsewhere in ["/school", "/school/rollcalls/docs/", "/school/rollcall/school/rollcall/docs/", "/other/docs/"] {
        assert_eq!(server.api.get(elsewhere).await.status, 404, "{elsewhere}");
    }
    let metrics = server.operator().get("/metrics").await.text();
    assert!(!metrics.contains("school"), "routes are counted without the path");
}

#[tokio::test]
async fn the_pages_addresses_are_relative() {
    let server = TestServer::start().await;
    let page = server.api.get("/docs/").await.text();
    let script = server.api.get("/docs/swagger-initializer.js").await.text();
    assert!(script.contains("\"../openapi.json\"") && !script.contains("\"/openapi.json\""), "{script}");
    for mark in ["src=\"", "href=\""] {
        for link in page.split(mark).skip(1) {
            assert!(!link.starts_with('/'), "{link}");
        }
    }
    assert!(server.api.get("/openapi.json").await.json().get("servers").is_none(), "paths begin at the root");
}
