//! Whose work a log line is of: the request's whose answer carries the same id, or the job's.

use std::{
    fs::{self, File},
    path::Path,
};

use reqwest::{Method, multipart::Part};
use rollcall::{config::Settings, pipeline::Station, runtime::Faults, telemetry::logging};
use serde_json::{Value, json};

use crate::support::{
    Metrics, ServerProcess, eventually, form, images::jpeg, images::scaled, portrait, process::serve_here,
    rosters::zipped, server::read_key,
};

/// Tells the child, which is this very test binary, where its data is, and at which points it panics once.
const CHILD_DATA: &str = "ROLLCALL_TEST_SPANS_DATA";
const CHILD_POINTS: &str = "ROLLCALL_TEST_SPANS_POINTS";

/// The child's part: a server that logs, with faults.
#[test]
fn child_serves_with_faults() {
    let Ok(data) = std::env::var(CHILD_DATA) else { return };
    let (settings, faults) = (Settings::load(None, &[("server.data", data)]).unwrap(), Faults::default());
    logging::start(&settings.log).unwrap();
    for point in std::env::var(CHILD_POINTS).unwrap().split(',') {
        faults.panic_times(point, 1);
    }
    serve_here(settings, faults);
    logging::flush();
}

/// A line of the log.
#[derive(Debug)]
struct Line {
    text: String,
    level: String,
    /// As its span says.
    request: Option<String>,
    job: Option<String>,
    stage: Option<String>,
}

impl Line {
    fn of_text(text: &str) -> Self {
        let value = |name: &str| {
            let (_, rest) = text.split_once(&format!("{name}="))?;
            Some(rest.trim_start_matches('"').split(['"', ' ', '}']).next().unwrap().to_owned())
        };
        let level = text.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let (request, job, stage) = (value("request_id"), value("job{job"), value(" stage"));
        Self { text: text.to_owned(), level, request, job, stage }
    }

    fn of_json(text: &str) -> Self {
        let line: Value = serde_json::from_str(text).unwrap();
        let value = |at: &str| line.pointer(at).and_then(Value::as_str).map(str::to_owned);
        let [level, request, job, stage] = ["/level", "/span/request_id", "/span/job", "/fields/stage"].map(value);
        Self { text: text.to_owned(), level: level.unwrap(), request, job, stage }
    }

    /// Whether it says `what` of `stage`.
    fn says(&self, what: &str, stage: &str) -> bool {
        self.text.contains(what) && self.stage.as_deref() == Some(stage)
    }
}

/// A server on the data of another, that knows one person of the group `g` and panics once at each of `points`; its log
/// is written to a file.
async fn with_faults(data: &Path, format: &str, points: &[String]) -> ServerProcess {
    let server = ServerProcess::start(data).await;
    server.api.group("g").await;
    server.api.enrol("p", &["g"], "obama").await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    let points = points.join(",");
    let told = [(CHILD_DATA, data.to_str().unwrap()), (CHILD_POINTS, &points), ("ROLLCALL__LOG__FORMAT", format)];
    let log = File::create(data.join("log")).unwrap();
    ServerProcess::of_this_binary_with("spans::child_serves_with_faults", &told, data, log.into()).await
}

/// What the server logged, once it has ended.
async fn lines(server: ServerProcess, data: &Path, format: &str) -> Vec<Line> {
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    let log = fs::read_to_string(data.join("log")).unwrap();
    log.lines().map(if format == "json" { Line::of_json } else { Line::of_text }).collect()
}

/// The points at which a stage can panic, in the order in which a photo comes to them.
fn points() -> Vec<String> {
    let mut points: Vec<_> = Station::ALL.iter().map(|stage| stage.name()).flat_map(both).collect();
    // What attendance writes is put together in matching's task.
    let attendance = points.len() - 2;
    points[attendance..].reverse();
    points
}

fn both(stage: &str) -> [String; 2] {
    ["actor", "work"].map(|part| format!("{stage}.{part}"))
}

async fn every_stages_lines_name_their_request(format: &str) {
    let data = tempfile::tempdir().unwrap();
    let points = points();
    let server = with_faults(data.path(), format, &points).await;
    let photo = jpeg(&scaled("obama2", 160));
    let mut ids = Vec::new();
    for point in &points {
        let answer = server.api.recognize("g", &[("liveness", "passive")], &[&photo]).await;
        assert_eq!(answer.problem(), (500, "internal".to_owned()), "{point}: {}", answer.text());
        ids.push(answer.header("x-request-id").to_owned());
        if point == "ingest.actor" {
            // The door's senders live on other threads and may hand it the next photo while it dies.
            eventually("the stage's death is noticed", async || {
                let metrics = Metrics::parse(&server.api.get("/metrics").await.text());
                metrics.count("stage_restarts_total", &["stage=\"ingest\""]) == 1
            })
            .await;
        }
    }
    server.api.recognize("g", &[], &[&photo]).await.expect(200);
    let lines = lines(server, data.path(), format).await;
    for (point, id) in points.iter().zip(&ids) {
        let (stage, part) = point.split_once('.').unwrap();
        let task = if stage == "attendance" { "matching" } else { stage };
        let own: Vec<_> = lines.iter().filter(|line| line.request.as_ref() == Some(id)).collect();
        let expected = if part == "actor" {
            vec![("a stage died", stage)]
        } else {
            vec![("a compute task panicked", task), ("a photo failed", task)]
        };
        for (what, stage) in expected {
            assert!(own.iter().any(|line| line.says(what, stage)), "{point} {id}: {what}: {lines:#?}");
        }
        assert!(own.iter().any(|line| line.text.contains("request failed")), "{point} {id}: {lines:#?}");
    }
    let nobodys = |line: &&Line| line.level != "INFO" && line.request.as_ref().is_none_or(|id| !ids.contains(id));
    assert!(!lines.iter().any(|line| nobodys(&line)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.request.is_none() && line.text.contains("stopped")), "{lines:#?}");
}

#[tokio::test]
async fn every_stages_lines_name_their_request_as_text() {
    every_stages_lines_name_their_request("text").await;
}

#[tokio::test]
async fn every_stages_lines_name_their_request_as_json() {
    every_stages_lines_name_their_request("json").await;
}

/// A panic that nobody contains is written by the panic's hook, past the subscriber.
#[tokio::test]
async fn the_line_of_a_panic_names_its_request() {
    for format in ["text", "json"] {
        let data = tempfile::tempdir().unwrap();
        let server = with_faults(data.path(), format, &["photos.written".to_owned()]).await;
        let operator = server.api.with_key(&read_key(data.path(), "operator.key"));
        operator.send(Method::PATCH, "/api/v1/tenants/default", &json!({ "photos": "crops" })).await.expect(200);
        let refused =
            server.api.post_form("/api/v1/people", form(&[("id", "q"), ("name", "Q")], &[&portrait("biden")])).await;
        assert_eq!(refused.problem(), (500, "internal".to_owned()), "{}", refused.text());
        let request = refused.header("x-request-id");
        let lines = lines(server, data.path(), format).await;
        let line = lines.iter().find(|line| line.text.contains("panicked")).expect("a line of the panic");
        assert_eq!(line.request.as_deref(), Some(request), "{line:?}");
    }
}

#[tokio::test]
async fn a_jobs_lines_name_it_and_the_request_that_began_it() {
    for format in ["text", "json"] {
        let data = tempfile::tempdir().unwrap();
        let server = with_faults(data.path(), format, &["decode.work".to_owned()]).await;
        let photos = Part::bytes(zipped(&[("1.jpg", &portrait("obama2"))])).file_name("photos.zip");
        let begun =
            server.api.post_form("/api/v1/groups/g/jobs/recognize", form(&[], &[]).part("photos", photos)).await;
        let (job, request) = (begun.expect(202)["id"].as_str().unwrap().to_owned(), begun.header("x-request-id"));
        server.api.job_over(&job).await;
        let lines = lines(server, data.path(), format).await;
        for what in ["a compute task panicked", "a photo failed"] {
            let line = lines.iter().find(|line| line.says(what, "decode")).expect(what);
            assert_eq!((line.job.as_deref(), line.request.as_deref()), (Some(job.as_str()), Some(request)), "{line:?}");
        }
    }
}
