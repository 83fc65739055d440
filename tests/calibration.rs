//! What the enrolled samples tell about thresholds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, TestServer, form, portrait};

async fn report(api: &Api, query: &str) -> Value {
    api.get(&format!("/api/v1/reports/calibration{query}")).await.expect(200)
}

fn remarks(report: &Value) -> Vec<&str> {
    report["remarks"].as_array().unwrap().iter().map(|remark| remark["code"].as_str().unwrap()).collect()
}

async fn enrol(api: &Api, id: &str, shots: &[&str]) {
    let photos: Vec<Vec<u8>> = shots.iter().map(|shot| portrait(shot)).collect();
    let photos: Vec<&[u8]> = photos.iter().map(Vec::as_slice).collect();
    api.post_form("/api/v1/people", form(&[("id", id), ("name", id)], &photos)).await.expect(201);
}

#[tokio::test]
async fn the_report_counts_the_pairs_and_says_what_they_cannot_show() {
    let server = TestServer::start().await;
    let api = &server.api;
    let nobody = report(api, "").await;
    assert_eq!((&nobody["people"], &nobody["recommended"]), (&json!(0), &json!(null)));
    assert_eq!(remarks(&nobody), ["no_genuine_pairs", "no_impostor_pairs"]);

    enrol(api, "biden", &["biden"]).await;
    enrol(api, "hopper", &["hopper"]).await;
    let single = report(api, "").await;
    assert_eq!(single["genuine"], json!({ "compared": 0, "of": 0 }));
    assert_eq!(single["impostor"], json!({ "compared": 1, "of": 1 }));
    assert_eq!(remarks(&single)[0], "no_genuine_pairs");
    assert_eq!((&single["roster"]["fnmr"], &single["equal_error"]), (&json!(null), &json!(null)));
    assert_eq!(single["roster"]["fmr"], json!({ "errors": 0, "pairs": 1, "rate": 0.0, "at_most": 1.0 }));

    enrol(api, "obama", &["obama", "obama2", "obama3"]).await;
    enrol(api, "astronaut", &["astronaut"]).await;
    let found = report(api, "?roster=2&faces=1&false_names=0.5").await;
    assert_eq!((&found["people"], &found["samples"], &found["searched"]), (&json!(4), &json!(6), &json!(6)));
    // Three of one person; fifteen in all.
    assert_eq!((&found["genuine"]["compared"], &found["impostor"]["compared"]), (&json!(3), &json!(12)));
    assert_eq!((&found["roster"]["fmr"]["at_most"], &found["roster"]["fnmr"]["errors"]), (&json!(0.25), &json!(0)));
    assert_eq!(found["wanted"], json!({ "roster": 2, "faces": 1, "false_names": 0.5 }));
    // Three comparisons: two people with 1.5 samples each.
    let wanted_fmr = 1.0 - 0.5_f64.powf(1.0 / 3.0);
    assert!((found["wanted_fmr"].as_f64().unwrap() - wanted_fmr).abs() < 1e-9, "{found}");
    // Twelve pairs cannot show less than 25 %.
    assert_eq!(found["recommended"]["evidence"], "too_few_pairs");
    assert_eq!(remarks(&found), ["few_genuine_pairs", "few_impostor_pairs", "too_few_pairs"]);
    let threshold = found["recommended"]["threshold"].as_f64().unwrap();
    let alike = found["look_alikes"].as_array().unwrap();
    let nearest = alike[0]["similarity"].as_f64().unwrap();
    assert!(threshold > nearest && threshold <= nearest + 0.0011, "{threshold} {nearest}");
    assert!(alike.len() >= 2 && alike[0]["people"][0].as_str() < alike[0]["people"][1].as_str(), "{alike:?}");
    assert_eq!(found["equal_error"]["rate"], 0.0);
    let curve = found["curve"].as_array().unwrap();
    assert_eq!((curve.len(), &curve[100]["fmr"], &curve[100]["fnmr"]), (101, &json!(0.0), &json!(1.0)));

    let shown = report(api, "?roster=1&faces=1&false_names=0.5").await;
    assert_eq!(shown["recommended"]["evidence"], "shown");
    assert!(shown["recommended"]["false_names_at_most"].as_f64().unwrap() <= 0.5);

    // One person under two names, and a threshold of the tenant's own.
    let settings = json!({ "matching": { "roster_threshold": 0.45 } });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &settings).await.expect(200);
    enrol(api, "again", &["biden"]).await;
    let twice = report(api, "").await;
    assert_eq!(twice["roster"]["threshold"], 0.45);
    assert_eq!(twice["look_alikes"][0]["people"], json!(["again", "biden"]));
    let told = remarks(&twice);
    assert!(told.contains(&"look_alikes") && told.contains(&"same_face"), "{told:?}");
    assert_eq!((&twice["roster"]["fmr"]["errors"], &twice["recommended"]), (&json!(1), &json!(null)));

    let other = report(&server.tenant("other").await, "").await;
    assert_eq!((&other["samples"], &other["look_alikes"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn the_picture_shows_both_curves_and_the_thresholds_also_without_people() {
    let server = TestServer::start().await;
    let picture = async || {
        let answer = server.api.get("/api/v1/reports/calibration?format=svg").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "image/svg+xml"), "{}", answer.text());
        answer.text()
    };
    let empty = picture().await;
    assert!(empty.starts_with("<svg") && empty.contains("unknown, no such pairs"), "{empty}");
    enrol(&server.api, "obama", &["obama", "obama2"]).await;
    enrol(&server.api, "biden", &["biden"]).await;
    let drawn = picture().await;
    for text in [
        "2 people with 3 samples",
        "threshold (raw cosine)",
        "0.400 now, within a roster",
        "0.500 now, in the whole gallery",
        "no pair of different people matches",
    ] {
        assert!(drawn.contains(text), "{text}: {drawn}");
    }
    assert!(!drawn.contains("no such pairs") && !drawn.contains("obama"), "{drawn}");
    // No point that no viewer can draw.
    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");

    let limits = ["roster=0", "roster=1000001", "faces=0", "faces=1001", "false_names=0", "false_names=1"];
    for query in limits.into_iter().chain(["false_names=NaN"]) {
        let refused = server.api.get(&format!("/api/v1/reports/calibration?{query}")).await;
        assert_eq!(refused.problem(), (400, "invalid_calibration".to_owned()), "{query}");
    }
    for query in ["roster=-1", "format=png", "people=3"] {
        let refused = server.api.get(&format!("/api/v1/reports/calibration?{query}")).await;
        assert_eq!(refused.problem(), (400, "invalid_query".to_owned()), "{query}");
    }
}
