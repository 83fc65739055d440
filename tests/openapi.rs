//! The API's description: reviewed, complete, and served with a page that needs nobody else.

use std::{collections::BTreeSet, env, fs, path::Path};

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{Answer, TestServer, description};

const RENEW: &str = "ROLLCALL_RENEW_SNAPSHOTS";

#[tokio::test]
async fn the_description_equals_the_reviewed_one() {
    let server = TestServer::start().await;
    let mut served = server.api.without_key().get("/openapi.json").await.expect(200);
    // Its version is the crate's: no reason to review the whole again.
    served["info"]["version"] = Value::Null;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openapi.json");
    let pretty = serde_json::to_string_pretty(&served).unwrap() + "\n";
    if env::var_os(RENEW).is_some() {
        fs::write(&path, &pretty).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    let differs = reviewed.lines().zip(pretty.lines()).position(|(old, new)| old != new);
    assert!(
        reviewed == pretty,
        "the API has changed, first near line {:?} of {}. If that is meant: `{RENEW}=1 make test`, then review and \
         commit the change of that file",
        differs.map(|line| line + 1),
        path.display()
    );
}

/// Every `resource("…")` in the source of our own API.
fn routes_in_the_source() -> BTreeSet<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/api")];
    let mut routes = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            for piece in fs::read_to_string(path).unwrap().split("resource(\"").skip(1) {
                routes.insert(format!("/api/v1{}", piece.split('"').next().unwrap()));
            }
        }
    }
    routes
}

#[tokio::test]
async fn the_description_lists_every_route_and_method_and_no_other() {
    let server = TestServer::start().await;
    let description = server.api.get("/openapi.json").await.expect(200);
    let paths = description["paths"].as_object().unwrap();
    let described: BTreeSet<String> = paths.keys().cloned().collect();
    assert_eq!(described, routes_in_the_source());
    for path in paths.keys() {
        let concrete = path.replace(['{', '}'], "");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            // What one route names, another may have as an id: a person may be called import.
            let serves = |method: &str| {
                paths.iter().any(|(other, methods)| {
                    fits(other, &concrete) && methods.get(method.to_ascii_lowercase()).is_some()
                })
            };
            let known = serves(method.as_str());
            let answer = Answer::to(server.api.request(method.clone(), &concrete)).await;
            let (status, code) = answer.known_problem();
            assert_eq!(known, status != 405, "{method} {path}: {status} {code}");
            let named = answer.header("allow").split(", ").any(|one| !one.is_empty() && serves(one));
            assert_eq!(named, status == 405, "{method} {path} allows {}", answer.header("allow"));
        }
    }
}

/// Whether a route serves a path.
fn fits(route: &str, path: &str) -> bool {
    let same = |(pattern, part): (&str, &str)| pattern.starts_with('{') || pattern == part;
    route.split('/').count() == path.split('/').count() && route.split('/').zip(path.split('/')).all(same)
}

impl Answer {
    /// Like `problem`, for answers that may be none.
    fn known_problem(&self) -> (u16, String) {
        if self.status < 400 { (self.status, String::new()) } else { self.problem() }
    }
}

/// What the page's tags point at.
fn links(page: &str) -> Vec<&str> {
    let after = |mark: &'static str| page.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
    after("src=\"").chain(after("href=\"")).collect()
}

#[tokio::test]
async fn the_page_to_try_it_needs_no_other_server() {
    let server = TestServer::start().await;
    let stranger = server.api.without_key();
    assert_eq!(stranger.get("/docs").await.status, 200, "redirected to /docs/");
    let page = stranger.get("/docs/").await;
    assert_eq!((page.status, page.header("content-type").starts_with("text/html")), (200, true));
    let (text, mut scripts) = (page.text(), String::new());
    let links = links(&text);
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        assert!(!link.contains("//"), "{link} comes from another server");
        let part = stranger.get(&format!("/docs/{}", link.trim_start_matches("./"))).await;
        assert_eq!(part.status, 200, "{link}");
        if link.ends_with("initializer.js") {
            scripts += &part.text();
        }
    }
    println!("{scripts}");
    assert!(scripts.contains("/openapi.json"), "{scripts}");
    // Unless told otherwise the page shows the description to a validator on the internet.
    assert!(scripts.contains("\"validatorUrl\": \"none\""), "{scripts}");
}

#[tokio::test]
async fn every_operation_shows_what_goes_in_and_out_by_valid_examples() {
    let server = TestServer::start().await;
    let description = server.api.get("/openapi.json").await.expect(200);
    let mut ids = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{} twice", operation["operationId"]);
            let what = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{what}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{what}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2') || status == "101"), "{what}");
            let is_public = operation["security"] == json!([{}]);
            let of_all: &[&str] = if is_public { &["500", "503"] } else { &["401", "403", "500", "503"] };
            for &status in of_all {
                assert!(responses.contains_key(status), "{what} {status}");
            }
            for place in responses.values().chain(operation.get("requestBody")) {
                let place = description::resolved(place, &description);
                let is_request = place["required"] == Value::Bool(true);
                assert!(is_request || place["description"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
                for (kind, content) in place["content"].as_object().into_iter().flatten() {
                    assert_has_valid_examples(&what, kind, content, &description);
                }
            }
        }
    }
}

#[tokio::test]
async fn examples_of_requests_fill_in_only_what_is_needed() {
    let server = TestServer::start().await;
    let description = server.api.get("/openapi.json").await.expect(200);
    let (mut examples, mut own) = (0, BTreeSet::new());
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let contents = operation["requestBody"]["content"].as_object().into_iter();
            for content in contents.flat_map(Map::values) {
                let schema = description::resolved(&content["schema"], &description);
                if schema.get("example").is_some() {
                    own.insert(format!("{method} {path}"));
                    continue;
                }
                assert_fills_in_what_is_needed(&format!("{method} {path}"), schema, &content["example"], &description);
                examples += 1;
            }
        }
    }
    assert!(examples > 30, "{examples}");
    // Where any one of several things is needed, one is shown.
    let shown = ["post /api/v1/groups/{group}/jobs/recognize", "post /api/v1/sessions/{session}/confirm"];
    assert_eq!(own, BTreeSet::from(shown.map(str::to_owned)));
    // The page would fill every field of a form, were it not told otherwise.
    let scripts = server.api.without_key().get("/docs/swagger-initializer.js").await.text();
    assert!(scripts.contains("const OnlyWhatIsNeeded") && scripts.contains("DownloadUrl,\n      OnlyWhatIsNeeded"));
}

fn assert_fills_in_what_is_needed(what: &str, schema: &Value, example: &Value, description: &Value) {
    let schema = description::resolved(schema, description);
    match example {
        Value::Object(fields) if schema.get("example").is_none() => {
            let given: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            assert_eq!(given, required.collect(), "{what}: {example}");
            for (name, value) in fields {
                assert_fills_in_what_is_needed(what, &schema["properties"][name], value, description);
            }
        }
        Value::Array(items) => {
            for item in items {
                assert_fills_in_what_is_needed(what, &schema["items"], item, description);
            }
        }
        _ => {}
    }
}

/// Files and pictures have none; what is sent as a form has the same shape as in JSON.
fn assert_has_valid_examples(what: &str, kind: &str, content: &Value, description: &Value) {
    let Some(example) = content.get("example") else {
        let workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        let shown =
            ["application/octet-stream", "image/svg+xml", "image/jpeg", "text/csv", "text/event-stream", workbook];
        assert!(shown.contains(&kind), "{what} has no example of {kind}");
        return;
    };
    let validator = description::validator(&content["schema"], description);
    let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in the example {example}");
}
