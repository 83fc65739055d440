//! Another tenant's data does not exist: every route of the API's description, asked by a tenant that has nothing of
//! what the path names, and by one that has the same ids.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Api, TestServer, class_photo, form, portrait,
    routes::{PASSWORD, body, described, send},
};

/// Routes that name no tenant's data: the operator's, and those of the caller's own login.
fn is_of_no_tenant(path: &str) -> bool {
    ["/backup", "/check", "/store/rewrite"].contains(&path)
        || path.starts_with("/backups")
        || path.starts_with("/tenants")
        || path.starts_with("/auth")
}

/// What a tenant has, as ids for the parts of a path.
pub(crate) struct Ids(Vec<(&'static str, String)>);

impl Ids {
    /// The same with what the operator's paths name.
    pub(crate) fn with(mut self, more: &[(&'static str, &str)]) -> Self {
        self.0.extend(more.iter().map(|&(part, id)| (part, id.to_owned())));
        self
    }

    pub(crate) fn fill(&self, path: &str) -> String {
        self.0.iter().fold(path.to_owned(), |path, (part, id)| path.replace(part, id))
    }
}

/// Has a tenant keep unknown faces.
pub(crate) async fn keep_strangers(operator: &Api, tenant: &str) {
    let keep = json!({ "unknown_faces_days": 30 });
    operator.send(Method::PATCH, &format!("/api/v1/tenants/{tenant}"), &keep).await.expect(200);
}

/// Fills a tenant that keeps unknown faces: a group `group` with a person `person` who is marked, consents and has a negative,
/// and with two strangers, a person `q`, a user `user` and a key.
pub(crate) async fn fill(api: &Api, group: &str, person: &str, user: &str, shot: &str) -> Ids {
    api.group(group).await;
    let enrolled = api.enrol(person, &[group], shot).await;
    api.recognize(group, &[], &[&portrait(shot)]).await.expect(200);
    let seen = api.recognize(group, &[], &[&class_photo(&[("astronaut", 300), ("hopper", 300)])]).await.expect(200);
    let day = seen["session"].as_str().unwrap().to_owned();
    let review = api.get(&format!("/api/v1/sessions/{day}/review")).await.expect(200);
    api.enrol("q", &[], "hopper").await;
    let negatives = format!("/api/v1/people/{person}/negatives");
    let negative = api.post_form(&negatives, form(&[], &[&portrait("hopper")])).await.expect(201);
    let consent = json!({ "given_by": "x", "basis": "consent" });
    api.send(Method::PUT, &format!("/api/v1/people/{person}/consent"), &consent).await.expect(200);
    let new = json!({ "id": user, "password": PASSWORD, "role": "teacher", "groups": [group] });
    api.post("/api/v1/users", &new).await.expect(201);
    let webhook = json!({ "url": "https://example.com/in", "active": false });
    let webhook = api.post("/api/v1/webhooks", &webhook).await.expect(201);
    let key = api.post("/api/v1/keys", &json!({ "name": "k", "role": "viewer" })).await.expect(201);
    let new = json!({ "date": "2026-03-02", "start": "08:00", "end": "09:00" });
    let session = api.post(&format!("/api/v1/groups/{group}/sessions"), &new).await.expect(201);
    let session_path = format!("/api/v1/sessions/{}", session["id"].as_str().unwrap());
    let said = json!({ "confirm": [person] });
    api.post(&format!("{session_path}/confirm"), &said).await.expect(200);
    let appeal = format!("{session_path}/records/{person}/appeal");
    api.send(Method::PUT, &appeal, &json!({ "note": "x" })).await.expect(200);
    // One that was answered makes place for the next.
    api.send(Method::PATCH, &appeal, &json!({ "state": "refused" })).await.expect(200);
    let job = api.import(b"id,name\nr,R\n", None, &[]).await.expect(202);
    api.job_over(job["id"].as_str().unwrap()).await;
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    let stranger = |number: usize| format!("{day}/strangers/{}", id(&review["unknown_faces"][number]["id"]));
    Ids(vec![
        // Of the session that was photographed, which cannot be cancelled any more; who is named is no stranger then.
        ("{session}/strangers/{stranger}/name", format!("{}/name", stranger(0))),
        ("{session}/strangers/{stranger}", stranger(1)),
        ("{group}", group.into()),
        ("{person}", person.into()),
        ("{user}", user.into()),
        ("{key}", id(&key["id"])),
        ("{webhook}", id(&webhook["id"])),
        ("{negative}", id(&negative["id"])),
        ("{job}", id(&job["id"])),
        ("{face}", id(&enrolled["faces"][0]["id"])),
        ("{record}", id(&api.records(group, "").await[0]["id"])),
        ("{session}", id(&session["id"])),
    ])
}

/// All that a tenant with the group `g` and the person `p` can read of its data.
pub(crate) async fn data_of(api: &Api) -> Vec<Value> {
    let mut data = Vec::new();
    for path in [
        "/groups",
        "/people",
        "/groups/g",
        "/groups/g/attendance",
        "/groups/g/sessions?from=2026-03-01",
        "/groups/g/timetable",
        "/holidays",
        "/people/p",
        "/people/p/consent",
        "/people/p/negatives",
        "/webhooks",
    ] {
        data.push(api.get(&format!("/api/v1{path}")).await.expect(200));
    }
    data
}

/// The same with its users and keys.
async fn all_of(api: &Api) -> Vec<Value> {
    let mut all = data_of(api).await;
    for path in ["/users", "/users/u"] {
        all.push(api.get(&format!("/api/v1{path}")).await.expect(200));
    }
    let keys = api.get("/api/v1/keys").await.expect(200);
    // When it was last used is this test's own doing.
    all.extend(keys["keys"].as_array().unwrap().iter().map(|key| key["id"].clone()));
    all
}

/// The routes in an order in which an owner can take them all: what is deleted, last, and groups and people after
/// what is in them.
pub(crate) async fn routes(server: &TestServer) -> Vec<(String, String)> {
    let mut routes = described(&server.api).await;
    // No request opens a WebSocket by itself; tests/events.rs does.
    routes.retain(|(_, path)| path != "/events/ws");
    // A put replaces the faces that others name.
    let last = |method: &str, path: &str| match (method, path) {
        // One step of a session after another.
        ("put", "/sessions/{session}/records/{person}/appeal") | ("post", "/sessions/{session}/confirm") => -7,
        ("patch", "/sessions/{session}/records/{person}/appeal")
        | ("post", "/sessions/{session}/records/{person}/undo") => -6,
        ("delete", "/sessions/{session}") => -5,
        ("post", "/sessions/{session}/restore") => -4,
        ("post", "/sessions/{session}/open") => -3,
        ("post", "/sessions/{session}/close") => -2,
        ("post", "/sessions/{session}/reopen") => -1,
        ("put", "/people/{person}/faces") => 2,
        ("delete", "/groups/{group}/people/{person}") => 3,
        ("delete", "/groups/{group}" | "/people/{person}") => 4,
        ("delete", _) => 1,
        _ => 0,
    };
    routes.sort_by_key(|(method, path)| last(method, path));
    routes
}

#[tokio::test]
async fn what_is_another_tenants_is_404_on_every_route_and_stays_as_it_is() {
    let server = TestServer::start().await;
    let (owner, stranger, twin) = (&server.api, server.tenant("stranger").await, server.tenant("twin").await);
    // Both keep photos, so that there are some.
    for tenant in ["default", "twin"] {
        let keep = json!({ "photos": "crops" });
        server.operator().send(Method::PATCH, &format!("/api/v1/tenants/{tenant}"), &keep).await.expect(200);
        keep_strangers(&server.operator(), tenant).await;
    }
    let ids = fill(owner, "g", "p", "u", "obama").await;
    // The twin has the same ids; what has ids of the server's making it is shown the owner's.
    fill(&twin, "g", "p", "u", "biden").await;
    let before = all_of(owner).await;
    let routes = routes(&server).await;
    for (method, path) in &routes {
        if path.starts_with("/auth") {
            continue;
        }
        let answer = send(&stranger, method, &ids.fill(path), &body(method, path)).await;
        // These name the owner's group in their bodies.
        let named =
            path.contains('{') || (method == "post" && ["/keys", "/people", "/webhooks"].contains(&path.as_str()));
        let expected: &[u16] = match () {
            () if is_of_no_tenant(path) => &[403],
            () if named => &[404],
            () => &[200, 201, 202],
        };
        assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        let told = answer.text();
        for (_, id) in ids.0.iter().filter(|(_, id)| id.len() > 1) {
            assert!(!told.contains(id.as_str()), "{method} {path} tells {id}: {told}");
        }
        if method == "get" || path == "/identify" {
            assert!(!told.contains("\"p\"") && !told.contains("\"u\""), "{method} {path}: {told}");
        }
    }
    assert_eq!(all_of(owner).await, before, "by a stranger");
    for (method, path) in &routes {
        if is_of_no_tenant(path) {
            continue;
        }
        let answer = send(&twin, method, &ids.fill(path), &body(method, path)).await;
        let made_by_server = ["{key}", "{face}", "{negative}", "{record}", "{session}", "{job}", "{webhook}"]
            .iter()
            .any(|part| path.contains(part));
        assert_eq!(answer.status == 404, made_by_server, "{method} {path}: {} {}", answer.status, answer.text());
        // Deleted by the twin just now, which is to be found by the routes that follow.
        if method == "delete" && path == "/groups/{group}" {
            twin.group("g").await;
        }
    }
    assert_eq!(all_of(owner).await, before, "by a twin");
    // The requests were good ones: their owner can make them all.
    for (method, path) in &routes {
        if !is_of_no_tenant(path) {
            let answer = send(owner, method, &ids.fill(path), &body(method, path)).await;
            assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(owner.send(Method::GET, "/api/v1/people/p", &json!(null)).await.status, 404);
}
