//! Tables to download: no text that somebody gave is a formula to whatever opens them.

use std::io::{Cursor, Read};

use reqwest::multipart::Part;
use serde_json::{Value, json};

use crate::support::{Answer, Api, TestServer, description::resolved, form, portrait, rosters::zipped};

const CSV: &str = "text/csv";
const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Everything has an id or a name that would be a formula; the ids of the jobs, one of each kind.
async fn fill(api: &Api) -> [String; 2] {
    let group = json!({ "id": "+g", "name": "=G()", "time_zone": "UTC" });
    api.post("/api/v1/groups", &group).await.expect(201);
    for (id, shot) in [("@ada", "obama"), ("-bob", "biden")] {
        let fields = [("id", id), ("name", "=HYPERLINK(1)"), ("groups", "+g")];
        api.post_form("/api/v1/people", form(&fields, &[&portrait(shot)])).await.expect(201);
    }
    let session = json!({ "title": "-T", "date": "2026-03-02", "start": "08:00", "end": "09:00" });
    let session = api.post("/api/v1/groups/%2Bg/sessions", &session).await.expect(201);
    let session = session["id"].as_str().unwrap();
    let seen = [("session", session), ("at", "2026-03-02T08:05:00Z")];
    api.recognize("%2Bg", &seen, &[&portrait("obama2")]).await.expect(200);
    let shots = zipped(&[("=shot.jpg", &portrait("obama2"))]);
    let photos = form(&seen, &[]).part("photos", Part::bytes(shots).file_name("photos.zip"));
    let recognition = api.post_form("/api/v1/groups/%2Bg/jobs/recognize", photos).await.expect(202);
    let photos = zipped(&[("@ada/=x.jpg", b"no photo")]);
    let roster = b"id,name,groups\n@ada,=1+1,\n=bad,-1,\n+new,,nowhere\n";
    let import = api.import(roster, Some(&photos), &[]).await.expect(202);
    let jobs = [recognition, import].map(|job| job["id"].as_str().unwrap().to_owned());
    for job in &jobs {
        assert_eq!(api.job_over(job).await["state"], "done");
    }
    api.post(&format!("/api/v1/sessions/{session}/close"), &json!({})).await.expect(200);
    let absent = json!({ "set": [{ "person": "-bob", "status": "absent", "reason": "=ill" }] });
    api.post(&format!("/api/v1/sessions/{session}/confirm"), &absent).await.expect(200);
    jobs
}

/// The routes that answer with this type, as the description has them.
async fn routes(api: &Api, media_type: &str) -> Vec<String> {
    let description = api.get("/openapi.json").await.expect(200);
    let answers = |operation: &Value| {
        let mut responses = operation["responses"].as_object().into_iter().flatten();
        responses.any(|(_, answer)| resolved(answer, &description)["content"].get(media_type).is_some())
    };
    let paths = description["paths"].as_object().unwrap().iter();
    let found = paths.filter(|(_, operations)| operations.as_object().unwrap().values().any(answers));
    found.map(|(path, _)| path.clone()).collect()
}

/// All tables of one type, each with its address.
async fn tables(api: &Api, media_type: &str, format: &str, jobs: &[String]) -> Vec<(String, Answer)> {
    let dates = "from=2026-03-01&until=2026-03-31";
    let mut addresses = Vec::new();
    for route in routes(api, media_type).await {
        match route.trim_start_matches("/api/v1") {
            "/reports/attendance" => addresses.extend(
                ["person", "matrix", "session", "group"].map(|by| format!("{route}?{dates}&by={by}&format={format}")),
            ),
            "/reports/at-risk" => addresses.push(format!("{route}?{dates}&format={format}")),
            "/jobs/{job}/results" => {
                addresses.extend(jobs.iter().map(|job| format!("{}?format={format}", route.replace("{job}", job))));
            }
            route => panic!("no case for {route}, which answers with {media_type}"),
        }
    }
    let mut tables = Vec::new();
    for address in addresses {
        let table = api.get(&address).await;
        assert!(table.status == 200 && table.header("content-type").starts_with(media_type), "{address}");
        tables.push((address, table));
    }
    tables
}

#[tokio::test]
async fn no_text_of_a_table_is_a_formula() {
    let server = TestServer::start().await;
    let api = &server.api;
    let jobs = fill(api).await;
    let texts = tables(api, CSV, "csv", &jobs).await;
    assert_eq!(texts.len(), 7);
    for (address, table) in texts {
        let mut records = csv::ReaderBuilder::new().has_headers(false).from_reader(&table.bytes[..]);
        let cells: Vec<String> = records
            .records()
            .flat_map(|record| {
                let record = record.unwrap();
                // Where semicolons part cells, each part is one.
                record.iter().flat_map(|cell| cell.split(';')).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let is_formula =
            |cell: &&String| cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
        assert_eq!(cells.iter().find(is_formula), None, "{address}");
        assert!(cells.iter().any(|cell| cell.starts_with('\'')), "{address}: {}", table.text());
        assert!(table.text().lines().count() == table.text().matches("\r\n").count(), "{address}: RFC 4180");
    }
    let workbooks = tables(api, WORKBOOK, "xlsx", &jobs).await;
    assert_eq!(workbooks.len(), 5);
    for (address, workbook) in workbooks {
        let mut archive = zip::ZipArchive::new(Cursor::new(&workbook.bytes[..])).unwrap();
        let mut sheet = String::new();
        archive.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut sheet).unwrap();
        assert!(sheet.contains("HYPERLINK(1)") || sheet.contains("=G()"), "{address}: {sheet}");
        assert!(!sheet.contains("<f>") && !sheet.contains("<f "), "{address}: {sheet}");
    }
}
