//! The API's description, as every answer to the tests' client is held to it: its status and its body.

use std::{
    collections::HashMap,
    fs,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::Value;

use super::Answer;

/// The reviewed description; another test holds it to the one that is served.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&fs::read(PATH).unwrap()).unwrap());

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openapi.json");

/// By operation and status, once made.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// What holds JSON to `schema`, a part of `description`.
pub(crate) fn validator(schema: &Value, description: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = description["components"].clone();
    jsonschema::draft202012::new(&whole).unwrap()
}

/// The response itself, where it is shared by several operations.
pub(crate) fn resolved<'a>(response: &'a Value, description: &'a Value) -> &'a Value {
    let reference = response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.map_or(response, |pointer| description.pointer(pointer).expect("a reference resolves"))
}

/// Fails the test unless an error names its request, and the description allows the answer. Unknown routes and methods are not its concern.
pub(super) fn check(method: &Method, path: &str, answer: &Answer) {
    if answer.status >= 400
        && let Ok(body) = serde_json::from_slice::<Value>(&answer.bytes)
        && body["error"]["code"].is_string()
    {
        let id = &body["request_id"];
        assert!(id != "" && id == answer.header("x-request-id"), "{method} {path}: {body}");
    }
    let Some((route, operation)) = operation(method, path) else { return };
    let responses = &operation["responses"];
    let described = |status: &str| responses.get(status).map(|response| resolved(response, &DESCRIPTION));
    let status = answer.status.to_string();
    let Some(response) = described(&status).or_else(|| described("4XX").filter(|_| status.starts_with('4'))) else {
        panic!("{method} {route} answers {status}, which is not described: {}", answer.text());
    };
    let Some(content) = response["content"].as_object() else {
        assert!(answer.bytes.is_empty(), "{method} {route} {status} has a body that is not described");
        return;
    };
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let content = content.get(kind).unwrap_or_else(|| panic!("{method} {route} {status}: {kind} is not described"));
    if kind == "application/json" {
        let key = format!("{method} {route} {status}");
        let found = VALIDATORS.lock().unwrap().get(&key).map(Arc::clone);
        let validator = found.unwrap_or_else(|| Arc::new(validator(&content["schema"], &DESCRIPTION)));
        let body = answer.json();
        let errors: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{key} is not as described: {errors:?} in {body}");
        VALIDATORS.lock().unwrap().insert(key, validator);
    }
}

/// The operation that serves `path`, with its route's pattern: the one with the fewest placeholders that fits.
fn operation(method: &Method, path: &str) -> Option<(&'static str, &'static Value)> {
    let is_placeholder = |part: &str| part.starts_with('{');
    let fits = |route: &str| {
        let same = |(pattern, part)| is_placeholder(pattern) || pattern == part;
        route.split('/').count() == path.split('/').count() && route.split('/').zip(path.split('/')).all(same)
    };
    let routes = DESCRIPTION["paths"].as_object()?.iter().filter(|(route, _)| fits(route));
    let (route, methods) =
        routes.min_by_key(|(route, _)| route.split('/').filter(|part| is_placeholder(part)).count())?;
    Some((route, methods.get(method.as_str().to_ascii_lowercase())?))
}
