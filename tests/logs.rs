//! Nothing of the server depends on its log: not on room for it, nor on anybody who reads it.

use std::{
    fs::File,
    io::pipe,
    process::{Command, Stdio},
};

use crate::support::{Metrics, ServerProcess, eventually, portrait};

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk without room.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Everything that the server logs, errors among it, from all its threads.
const TALKATIVE: (&str, &str) = ("ROLLCALL__LOG__FILTER", "trace");

/// Starts, recognises, fails a request, stays ready, says that lines were lost, ends.
async fn serves_in_silence(format: &str, out: Stdio, err: Stdio) {
    let data = tempfile::tempdir().unwrap();
    let server =
        ServerProcess::writing_to(data.path(), &[TALKATIVE, ("ROLLCALL__LOG__FORMAT", format)], out, err).await;
    let lost = async || Metrics::parse(&server.api.get("/metrics").await.text()).count("log_lines_lost_total", &[]);
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    for _ in 0..3 {
        let answer = server.api.recognize("g", &[], &[&portrait("obama2"), b"no image"]).await.expect(200);
        assert_eq!(answer["present"][0]["person"], "obama");
        assert_eq!(server.api.get("/api/v1/groups/nobody").await.status, 404);
    }
    eventually("lines are lost", async || lost().await > 0).await;
    let before = lost().await;
    eventually("the next lines are lost too", async || lost().await > before).await;
    assert_eq!(server.api.get("/health/ready").await.status, 200);
    assert_eq!(server.api.get("/metrics").await.text().matches("rollcall_stage_restarts_total{").count(), 0);
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_server_serves_although_the_reader_of_its_log_has_gone() {
    serves_in_silence("text", closed(), closed()).await;
}

#[tokio::test]
async fn a_server_serves_although_the_disk_of_its_log_is_full() {
    serves_in_silence("json", full(), full()).await;
}

#[tokio::test]
async fn a_server_serves_although_nobody_reads_its_log() {
    let (reader, writer) = pipe().unwrap();
    serves_in_silence("text", Stdio::null(), writer.into()).await;
    drop(reader);
}

#[test]
fn no_command_panics_where_its_output_cannot_be_written() {
    let data = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 7] = [
        &["--help"],
        &["user", "add", "ada"],
        &["user", "list"],
        &["check"],
        &["audit", "verify"],
        &["gallery", "check"],
        &["recognize", "missing.jpg"],
    ];
    for command in commands {
        for output in [closed, full] {
            let mut rollcall = Command::new(env!("CARGO_BIN_EXE_rollcall"));
            rollcall.arg("--data").arg(data.path()).args(command).stdin(Stdio::null());
            let status = rollcall.stdout(output()).stderr(output()).status().unwrap();
            assert!(matches!(status.code(), Some(0..=2)), "{command:?}: {status}");
        }
    }
}
