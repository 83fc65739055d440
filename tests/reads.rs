//! How often a request looks into the store before its photo goes into the pipeline.

use crate::support::{TestServer, eventually, form, portrait};

/// The most looks.
const MOST: u64 = 3;

/// What a request has to do, by name.
const REQUESTS: [&str; 6] = ["recognize", "recognize without marks", "identify", "enroll", "add", "replace"];

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
    // The look at the door of the metrics themselves is none of it.
    let looks = reads(server).await - before - 1;
    drop(gate);
    assert!(sent.await.unwrap().status < 300, "{request}");
    looks
}

#[tokio::test]
async fn a_photo_and_an_enrolment_look_into_the_store_at_most_three_times_before_the_pipeline() {
    let server = TestServer::start().await;
    server.api.group("g").await;
    server.api.enrol("obama", &["g"], "obama").await;
    for request in REQUESTS {
        let mut least = u64::MAX;
        // What the server does by itself may come between; not each time.
        for number in 0..3 {
            least = least.min(looks(&server, request, number).await);
        }
        assert!((1..=MOST).contains(&least), "{request}: {least} looks");
    }
}
