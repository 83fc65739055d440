//! How often a request looks into the store: before its photo goes into the pipeline, and where it has none.

use serde_json::json;

use crate::support::{TestServer, eventually, form, portrait};

/// Requests by name, and how often each looks: at the door, and at what it goes by.
const REQUESTS: [(&str, u64); 6] =
    [("recognize", 2), ("recognize without marks", 2), ("identify", 1), ("enroll", 2), ("add", 2), ("replace", 2)];

/// Looks for the metrics themselves: at the door, and at erasures.
const OF_METRICS: u64 = 2;

async fn reads(server: &TestServer) -> u64 {
    server.metrics().await.count("store_reads_total", &[])
}

/// Sends the request and holds its photo at the beginning of the pipeline.
async fn looks(server: &TestServer, request: &'static str, number: usize) -> u64 {
    let gate = server.faults.block("ingest.actor");
    let before = reads(server).await;
    let (api, photo) = (server.api.clone(), portrait("obama2"));
    let sent = tokio::spawn(async move {
        let id = format!("new-{number}");
        match request {
            "recognize" => api.recognize("g", &[], &[&photo]).await,
            "recognize without marks" => api.recognize("g", &[("mark", "false")], &[&photo]).await,
            "identify" => api.post_form("/api/v1/identify", form(&[], &[&photo])).await,
            "enroll" => {
                let fields = [("id", id.as_str()), ("name", "New"), ("groups", "g")];
                api.post_form("/api/v1/people", form(&fields, &[&photo])).await
            }
            "add" => api.post_form("/api/v1/people/obama/faces", form(&[], &[&photo])).await,
            _ => api.put_form("/api/v1/people/obama/faces", form(&[], &[&photo])).await,
        }
    });
    eventually("the photo waits", async || server.faults.waiting_at("ingest.actor") == 1).await;
    let looks = reads(server).await.saturating_sub(before + OF_METRICS);
    drop(gate);
    assert!(sent.await.unwrap().status < 300, "{request}");
    looks
}

/// The least of three: what the server does by itself may come between; not each time.
async fn least(mut looks: impl AsyncFnMut(usize) -> u64) -> u64 {
    let mut least = u64::MAX;
    for number in 0..3 {
        least = least.min(looks(number).await);
    }
    least
}

#[tokio::test]
async fn a_photo_and_an_enrolment_look_into_the_store_twice_before_the_pipeline() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    for (request, expected) in REQUESTS {
        assert_eq!(least(async |number| looks(&server, request, number).await).await, expected, "{request}");
    }
}

#[tokio::test]
async fn a_word_on_a_record_looks_at_the_door_alone() {
    let server = TestServer::start().await;
    let api = &server.api;
    api.group("g").await;
    api.enrol("obama", &["g"], "obama").await;
    let day = json!({ "date": "2026-03-30", "start": "10:00", "end": "11:00" });
    let session = api.post("/api/v1/groups/g/sessions", &day).await.expect(201)["id"].as_str().unwrap().to_owned();
    let confirmed = async |_| {
        let before = reads(&server).await;
        let said = json!({ "confirm": ["obama"] });
        let answer = api.post(&format!("/api/v1/sessions/{session}/confirm"), &said).await.expect(200);
        assert_eq!(answer["records"][0]["name"], "obama");
        reads(&server).await.saturating_sub(before + OF_METRICS)
    };
    // The key, and the group of the session.
    assert_eq!(least(confirmed).await, 2);
}
