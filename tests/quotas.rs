//! How much a tenant may ask for: requests a second, photos a day.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, eventually, form, portrait, raw::Raw};

#[tokio::test]
async fn a_tenant_over_its_requests_a_second_is_told_when_to_come_back() {
    let server = TestServer::with(&[("tenants.requests_per_second", "1"), ("limits.body_idle_seconds", "1")]).await;
    let (operator, api, other) = (server.operator(), &server.api, server.tenant("other").await);
    let limits = json!({ "limits": { "requests_per_second": 0 } });
    let seen = operator.send(Method::PATCH, "/api/v1/tenants/other", &limits).await.expect(200);
    assert_eq!(seen["limits"]["requests_per_second"], 0);
    let mut refused: Option<Answer> = None;
    eventually("somebody asks too often", async || {
        refused = Some(api.get("/api/v1/people").await).filter(|answer| answer.status != 200);
        refused.is_some()
    })
    .await;
    let refused = refused.unwrap();
    assert_eq!(refused.problem(), (429, "too_many_requests".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    eventually("and is refused before a body is read", async || {
        api.get("/api/v1/people").await;
        let kind = "multipart/form-data; boundary=x";
        // Nothing of it is ever sent: if it were let in, it would be waited for.
        let answer = Raw::post(api, "/api/v1/detect", kind, "Content-Length: 1000").answer();
        assert!(answer.starts_with("HTTP/1.1 429 ") || answer.starts_with("HTTP/1.1 408 "), "{answer}");
        answer.contains("too_many_requests")
    })
    .await;
    assert!(server.metrics().await.count("quota_refused_total", &["quota=\"requests_per_second\""]) >= 2);
    for _ in 0..20 {
        other.get("/api/v1/people").await.expect(200);
    }
    eventually("the time comes", async || api.get("/api/v1/people").await.status == 200).await;
    operator.get("/api/v1/tenants/default").await.expect(200);
}

#[tokio::test]
async fn a_tenant_over_its_photos_a_day_waits_for_its_midnight() {
    let server = TestServer::with(&[("tenants.photos_per_day", "4")]).await;
    let (operator, api, other) = (server.operator(), &server.api, server.tenant("other").await);
    let path = "/api/v1/tenants/default";
    let limit = async |photos: Value| {
        let limits = json!({ "limits": { "photos_per_day": photos }, "time_zone": "Pacific/Kiritimati" });
        operator.send(Method::PATCH, path, &limits).await.expect(200)
    };
    assert_eq!(limit(json!(3)).await["limits"]["photos_per_day"], 3);
    api.enrol("p", &[], "obama").await;
    let photo = portrait("obama2");
    let detect = async |photos: usize| api.post_form("/api/v1/detect", form(&[], &vec![&photo[..]; photos])).await;
    detect(1).await.expect(200);
    let refused = detect(2).await;
    assert_eq!(refused.problem(), (429, "daily_quota".to_owned()), "all or none");
    let details = json!({ "limit": "photos_per_day", "max": 3, "used": 2 });
    assert_eq!(refused.json()["error"]["details"], details);
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "{wait}");
    detect(1).await.expect(200);
    assert_eq!(detect(1).await.status, 429);
    let identified = api.post_form("/api/v1/identify", form(&[], &[&photo])).await;
    assert_eq!(identified.problem(), (429, "daily_quota".to_owned()));
    assert_eq!(operator.get(path).await.expect(200)["usage"]["photos_today"], 3);
    assert_eq!(server.metrics().await.count("quota_refused_total", &["quota=\"photos_per_day\""]), 3);
    other.post_form("/api/v1/detect", form(&[], &[&photo])).await.expect(200);
    api.get("/api/v1/people").await.expect(200);

    let server = server.restart().await;
    let (operator, api) = (server.operator(), &server.api);
    assert_eq!(operator.get(path).await.expect(200)["usage"]["photos_today"], 3, "it is not forgotten");
    let detect = async || api.post_form("/api/v1/detect", form(&[], &[&photo])).await;
    assert_eq!(detect().await.status, 429);
    let more = json!({ "limits": { "photos_per_day": null } });
    let seen = operator.send(Method::PATCH, path, &more).await.expect(200);
    assert_eq!(seen["limits"]["photos_per_day"], 0, "the server's, which has none now");
    detect().await.expect(200);
    assert_eq!(operator.get("/api/v1/check").await.expect(200)["problems"], json!({}));
    // Moving to where it is still yesterday begins no new day.
    operator.send(Method::PATCH, path, &json!({ "time_zone": "Pacific/Pago_Pago" })).await.expect(200);
    assert_eq!(operator.get(path).await.expect(200)["usage"]["photos_today"], 4);
}
