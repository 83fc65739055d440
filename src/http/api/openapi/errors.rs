//! The errors of an operation: those that follow from what it takes, and those that its route names.
//!
//! A route names its own as `(status = 409, description = "group_exists, limit_reached")`; the rest is filled in here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Codes by status.
type Codes = BTreeMap<u16, BTreeSet<String>>;

/// Codes of some operations.
type Table = &'static [(u16, &'static [&'static str])];

/// Every operation.
const ALWAYS: Table = &[
    (500, &["internal"]),
    (503, &["unavailable", "storage", "store_failed", "store_gone", "cancelled"]),
    (507, &["disk_full"]),
];
/// What takes a key.
const KEYED: Table = &[
    (401, &["unauthenticated"]),
    (403, &["forbidden", "tenant_suspended"]),
    // Deleted while this was on its way.
    (404, &["tenant_not_found"]),
    (429, &["too_many_attempts", "too_many_requests", "overloaded"]),
];
/// What takes a body.
const BODY: Table = &[
    (400, &["invalid_json", "incomplete_body"]),
    (408, &["timeout"]),
    (413, &["body_too_large"]),
    (415, &["unsupported_content_type"]),
    (429, &["overloaded"]),
];
/// What takes images.
const IMAGES: Table = &[
    (400, &["invalid_form", "invalid_base64", "no_images", "too_many_images"]),
    (400, &["not_an_image", "empty", "corrupt_image"]),
    (413, &["field_too_large", "image_too_large", "too_many_bytes", "too_many_pixels", "side_too_long"]),
    (415, &["unsupported_format"]),
    (429, &["daily_quota"]),
    (503, &["photo_key_lost"]),
];
/// What makes something.
const CREATING: Table = &[
    (400, &["invalid_idempotency_key", "invalid"]),
    (409, &["idempotency_key_reused", "idempotency_in_progress", "idempotency_answer_gone"]),
    (429, &["too_many_idempotency_keys"]),
];

/// Puts all errors of an operation into its description, each with an example; those that several operations have are
/// described once, in `shared`.
pub(super) fn complete(path: &str, operation: &mut Map<String, Value>, shared: &mut Map<String, Value>) {
    let mut codes = Codes::new();
    for (status, of_status) in derived(path, operation) {
        codes.entry(status).or_default().insert(of_status);
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    // A route that does not name its own may have others.
    let is_open = responses.contains_key("4XX");
    for (status, response) in responses.iter() {
        let Some(status) = status.parse().ok().filter(|status| *status >= 400) else { continue };
        let named = response["description"].as_str().unwrap_or_default().split(',').map(str::trim);
        codes.entry(status).or_default().extend(named.filter(|code| !code.is_empty()).map(str::to_owned));
    }
    for (status, codes) in codes {
        let described = response(status, &codes, is_open);
        // Named by content: an operation's new error leaves the names of the others as they are.
        let name = format!("{status}-{}", hex::encode(&Sha256::digest(described.to_string())[..4]));
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
        shared.insert(name, described);
    }
}

/// The header that every answer has.
pub(super) fn request_id() -> Value {
    json!({
        "description": "The request's id, also in the server's log.",
        "required": true,
        "schema": { "type": "string" },
    })
}

fn derived(path: &str, operation: &Map<String, Value>) -> Vec<(u16, String)> {
    let takes = |kind: &str| operation.get("requestBody").is_some_and(|body| body["content"].get(kind).is_some());
    // Images come in either way; whole files only as a form.
    let takes_images = takes("multipart/form-data") && takes("application/json");
    let is_public = operation
        .get("security")
        .and_then(Value::as_array)
        .is_some_and(|rules| rules.iter().all(|rule| rule.as_object().is_none_or(Map::is_empty)));
    let groups: [(bool, Table); 5] = [
        (true, ALWAYS),
        (!is_public, KEYED),
        (operation.contains_key("requestBody"), BODY),
        (takes_images, IMAGES),
        (super::complete::is_creating(operation), CREATING),
    ];
    let tables = groups.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, table)| table);
    let mut all: Vec<(u16, String)> =
        tables.flat_map(|(status, codes)| codes.iter().map(|code| (*status, (*code).to_owned()))).collect();
    for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        all.push((400, "invalid_id".to_owned()));
        all.push((404, format!("{part}_not_found")));
    }
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        if parameter["in"] == "query" {
            all.push((400, "invalid_query".to_owned()));
            match parameter["name"].as_str() {
                Some("limit") => all.push((400, "invalid_limit".to_owned())),
                Some("after") => all.push((400, "invalid_cursor".to_owned())),
                Some("group") => all.push((400, "invalid_id".to_owned())),
                _ => {}
            }
        }
    }
    all
}

fn response(status: u16, codes: &BTreeSet<String>, is_open: bool) -> Value {
    let body = json!({ "$ref": "#/components/schemas/ErrorBody" });
    let schema = if is_open {
        body
    } else {
        let code = json!({ "properties": { "code": { "enum": codes } } });
        json!({ "allOf": [body, { "properties": { "error": code } }] })
    };
    let example = json!({
        "error": { "code": codes.first(), "message": "What is wrong, for people.", "details": null },
        "request_id": "0199a3f2-5b6e-7c41-9c5e-8f6a2d3b4c10",
    });
    let mut response = json!({
        "description": codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
        "headers": { "x-request-id": request_id() },
        "content": { "application/json": { "schema": schema, "example": example } },
    });
    if status == 429 {
        response["headers"]["retry-after"] =
            json!({ "description": "Seconds.", "required": true, "schema": { "type": "string" } });
    }
    response
}
