//! What every operation's description has and no route need repeat: its errors, examples, the request id, and the
//! idempotency key of a POST that makes something.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{
    ApiDoc, errors,
    examples::{Examples, Fields},
};

/// The statuses of a POST that makes something, or that will be made.
const CREATED: [&str; 2] = ["201", "202"];

/// Whether an operation makes something.
pub(super) fn is_creating(operation: &Map<String, Value>) -> bool {
    CREATED.iter().any(|status| operation["responses"].get(*status).is_some())
}

/// The whole description.
pub(in crate::http) fn description() -> Value {
    let mut api = serde_json::to_value(ApiDoc::openapi()).unwrap_or_default();
    join_forms(&mut api["components"]["schemas"]);
    let schemas = api["components"]["schemas"].clone();
    let [needed, all] = [Fields::Needed, Fields::All].map(|fields| Examples { schemas: &schemas, fields });
    let mut shared = Map::new();
    for (path, methods) in api["paths"].as_object_mut().into_iter().flatten() {
        for operation in methods.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
        {
            // A handler's name alone is not unique.
            if let (Some(tag), Some(id)) = (operation["tags"][0].as_str(), operation["operationId"].as_str()) {
                operation["operationId"] = json!(format!("{tag}_{id}"));
            }
            if is_creating(operation) {
                let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
                parameters.as_array_mut().into_iter().for_each(|parameters| parameters.push(idempotency_key()));
            }
            operation.get_mut("requestBody").into_iter().for_each(|body| illustrate(body, needed));
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                illustrate(response, all);
                response["headers"]["x-request-id"] = errors::request_id();
                if CREATED.contains(&status.as_str()) {
                    response["headers"]["idempotency-replayed"] =
                        json!({ "description": "On an answer that was kept.", "schema": { "const": "true" } });
                }
                if response["description"].as_str().is_none_or(str::is_empty) {
                    let meaning = StatusCode::from_bytes(status.as_bytes()).ok().and_then(|it| it.canonical_reason());
                    response["description"] = json!(meaning.unwrap_or_default());
                }
            }
            errors::complete(path, operation, &mut shared);
        }
    }
    api["components"]["responses"] = shared.into();
    api
}

/// Makes one object of a form's parts: each part by itself would refuse the fields of the others.
fn join_forms(schemas: &mut Value) {
    let all = schemas.clone();
    for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(parts) = schema["allOf"].as_array() else { continue };
        let parts: Vec<&Value> = parts.iter().map(|part| resolved(part, &all)).collect();
        if parts.iter().all(|part| part["additionalProperties"] != json!(false)) {
            continue;
        }
        let properties: Map<String, Value> =
            parts.iter().filter_map(|part| part["properties"].as_object().cloned()).flatten().collect();
        let required: BTreeSet<&str> =
            parts.iter().filter_map(|part| part["required"].as_array()).flatten().filter_map(Value::as_str).collect();
        let example = schema.get("example").cloned();
        *schema = json!({
            "type": "object",
            "description": schema["description"],
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        if let Some(example) = example {
            schema["example"] = example;
        }
    }
}

fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    schema["$ref"].as_str().map_or(schema, |reference| &schemas[reference.rsplit('/').next().unwrap_or_default()])
}

/// Gives each body in JSON or a form an example, where it has none yet.
fn illustrate(place: &mut Value, examples: Examples<'_>) {
    for (kind, content) in place.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
        let is_text = kind == "application/json" || kind.starts_with("multipart/");
        if is_text && content.get("examples").is_none() {
            content["example"] = examples.of(&content["schema"], "");
        }
    }
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Sent again under the same key, the request is answered again and not done again; the answer \
            then carries `idempotency-replayed: true`. For a day, in the tenant, for this route.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    })
}
