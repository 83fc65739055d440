//! The operator's care for the server: backups over HTTP, the check, limits of tenants, memory by tenant.

use std::{fs, path::Path, sync::Arc};

use jiff::Timestamp;
use reqwest::Method;
use rollcall::service::operations::backup::restore;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{TestServer, eventually, form, portrait};

#[tokio::test]
async fn only_the_operator_copies_and_checks() {
    let server = TestServer::start().await;
    let operator = server.operator();
    server.api.enrol("p", &[], "obama").await;
    for path in ["/api/v1/backup", "/api/v1/check", "/api/v1/tenants/default"] {
        assert_eq!(server.api.get(path).await.problem(), (403, "forbidden".to_owned()), "{path}");
        assert_eq!(server.api.without_key().get(path).await.status, 401, "{path}");
    }
    let backup = operator.get("/api/v1/backup").await;
    assert_eq!((backup.status, backup.header("content-type")), (200, "application/octet-stream"));
    assert!(rollcall::store::verify_backup(&backup.bytes[..]).unwrap() > 5);
    let report = operator.get("/api/v1/check").await.expect(200);
    assert_eq!((&report["problems"], &report["records"]["face"]), (&json!({}), &json!(1)));
}

#[tokio::test]
async fn backups_are_listed_by_name_and_size() {
    let server = TestServer::start().await;
    let operator = server.operator();
    assert_eq!(operator.get("/api/v1/backup?name=%0A").await.problem(), (400, "invalid_name".to_owned()));
    let named = operator.get("/api/v1/backup?name=monday").await.bytes.len();
    let nameless = operator.get("/api/v1/backup").await.bytes.len();
    let listed = operator.get("/api/v1/backups").await.expect(200)["backups"].clone();
    let shown: Vec<_> = listed.as_array().unwrap().iter().map(|it| json!([it["name"], it["bytes"]])).collect();
    assert_eq!(shown, [json!(["monday", named]), json!([null, nameless])]);
}

/// The whole backups in a folder, oldest first.
fn backups(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("rollcall-")).collect();
    names.sort_unstable();
    names
}

/// A data folder of a server that keeps photos, with `p` enrolled; and that photo.
async fn data_with_a_photo() -> (Arc<TempDir>, Vec<u8>) {
    let data = Arc::new(tempfile::tempdir().unwrap());
    let server = TestServer::on(Arc::clone(&data), &[]).await;
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &json!({ "photos": "crops" })).await.expect(200);
    server.api.enrol("p", &[], "obama").await;
    let photo = server.api.get("/api/v1/people/p/photo").await;
    assert_eq!(photo.status, 200);
    (data, photo.bytes.to_vec())
}

#[tokio::test]
async fn the_server_takes_backups_with_photos_by_itself_and_keeps_the_newest() {
    let (data, photo) = data_with_a_photo().await;
    let disk = tempfile::tempdir().unwrap();
    // What is older, and what was cut short.
    let old = ["rollcall-20200101T000000Z", "rollcall-20210101T000000Z", ".rollcall-20220101T000000Z.partial"];
    for name in old {
        fs::create_dir_all(disk.path().join(name)).unwrap();
    }
    let settings = [("backup.folder", disk.path().to_str().unwrap()), ("backup.keep", "2")];
    let server = TestServer::on(data, &settings).await;
    eventually("the oldest is gone", async || backups(disk.path()).first().is_some_and(|name| name == old[1])).await;
    let kept = backups(disk.path());
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(!disk.path().join(old[2]).exists());
    let listed = server.operator().get("/api/v1/backups").await.expect(200)["backups"].clone();
    let size = fs::metadata(disk.path().join(&kept[1]).join("store.backup")).unwrap().len();
    assert_eq!((&listed[0]["name"], &listed[0]["bytes"]), (&json!(kept[1]), &json!(size)));
    assert!(server.metrics().await.count("backup_taken_timestamp_seconds", &[]) > 0);

    let fresh = Arc::new(tempfile::tempdir().unwrap());
    restore(&disk.path().join(&kept[1]), fresh.path(), Timestamp::now()).await.unwrap();
    let restored = TestServer::on(fresh, &[]).await;
    assert_eq!(restored.api.get("/api/v1/people/p/photo").await.bytes.to_vec(), photo);
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing_that_looks_like_one() {
    let (data, _) = data_with_a_photo().await;
    // What cannot be copied as a photo.
    fs::create_dir_all(data.path().join("photos/default/no file")).unwrap();
    let disk = tempfile::tempdir().unwrap();
    let server = TestServer::on(data, &[("backup.folder", disk.path().to_str().unwrap())]).await;
    let operator = server.operator();
    eventually("it was given up", async || operator.get("/api/v1/audit").await.text().contains("backup.strike")).await;
    let left = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), [".rollcall.lock"], "by which the folder is this server's");
    assert_eq!(operator.get("/api/v1/backups").await.expect(200)["backups"], json!([]));
}

#[tokio::test]
async fn a_tenants_limits_are_shown_set_and_held() {
    let server = TestServer::with(&[("tenants.max_people", "3"), ("tenants.max_groups", "7")]).await;
    let (operator, api) = (server.operator(), &server.api);
    let path = "/api/v1/tenants/default";
    api.enrol("p", &[], "obama").await;
    let seen = operator.get(path).await.expect(200);
    let limits = |people: u64, samples: u64| json!({ "people": people, "groups": 7, "samples": samples, "requests_per_second": 0, "photos_per_day": 0 });
    assert_eq!(seen["limits"], limits(3, 2_000_000));
    assert_eq!(seen["usage"], json!({ "people": 1, "groups": 0, "samples": 1, "photos_today": 1 }));
    let patch = async |body| operator.send(Method::PATCH, path, &body).await;
    let set =
        patch(json!({ "name": "Schule", "limits": { "people": 1, "samples": 2 }, "gallery_plan": "exact" })).await;
    let set = set.expect(200);
    assert_eq!((&set["name"], &set["gallery_plan"]), (&json!("Schule"), &json!("exact")));
    assert_eq!(set["limits"], limits(1, 2));

    let photo = portrait("biden");
    let refused = api.post_form("/api/v1/people", form(&[("id", "q"), ("name", "q")], &[&photo])).await;
    assert_eq!(refused.problem(), (409, "limit_reached".to_owned()));
    assert_eq!(refused.json()["error"]["details"], json!({ "limit": "people", "max": 1, "used": 1 }));
    assert_eq!(api.get("/api/v1/people/q").await.status, 404);
    let two = form(&[], &[&portrait("obama2"), &portrait("obama3")]);
    let refused = api.post_form("/api/v1/people/p/faces", two).await;
    assert_eq!(refused.json()["error"]["details"], json!({ "limit": "samples", "max": 2, "used": 1 }));
    api.post_form("/api/v1/people/p/faces", form(&[], &[&portrait("obama2")])).await.expect(201);
    let full = api.post_form("/api/v1/people/p/faces", form(&[], &[&portrait("obama3")])).await;
    assert_eq!(full.status, 409);

    let back = patch(json!({ "limits": { "people": null, "samples": null }, "gallery_plan": null })).await.expect(200);
    assert_eq!((&back["limits"]["people"], &back["gallery_plan"]), (&json!(3), &json!(null)));
    api.enrol("q", &[], "biden").await;
    for bad in [json!({ "limits": { "people": -1 } }), json!({ "limit": {} }), json!({ "gallery_plan": "best" })] {
        assert_eq!(patch(bad.clone()).await.status, 400, "{bad}");
    }
    assert_eq!(operator.get("/api/v1/tenants/nobody").await.problem(), (404, "tenant_not_found".to_owned()));
}

#[tokio::test]
async fn memory_is_shown_by_tenant_to_who_asks_and_given_back_when_idle() {
    let server = TestServer::with(&[("gallery.idle_seconds", "1")]).await;
    server.api.enrol("p", &[], "obama").await;
    let identify =
        async || server.api.post_form("/api/v1/identify", form(&[], &[&portrait("obama2")])).await.expect(200);
    identify().await;
    let asked = server.operator().get("/metrics?tenants=true").await.text();
    assert!(asked.contains("rollcall_tenant_gallery_faces{tenant=\"default\"} 1"), "{asked}");
    assert!(!server.api.get("/metrics").await.text().contains("tenant=\""));
    // A tenant's key shows the server's figures, and no other tenant's name.
    assert_eq!(server.api.get("/metrics?tenants=true").await.status, 403);
    let viewer = server.api.post("/api/v1/keys", &json!({ "name": "v", "role": "viewer" })).await.expect(201);
    let viewer = server.api.with_key(viewer["key"].as_str().unwrap());
    assert_eq!(viewer.get("/metrics").await.status, 403);
    for api in [server.operator(), server.metrics_key().await] {
        for path in ["/metrics", "/metrics?tenants=true"] {
            assert_eq!(api.get(path).await.status, 200, "{path}");
        }
    }
    crate::support::eventually("the gallery leaves memory", async || {
        server.metrics().await.count("gallery_bytes", &[]) == 0
    })
    .await;
    assert_eq!(identify().await["present"][0]["person"], "p", "loaded again on demand");
}
