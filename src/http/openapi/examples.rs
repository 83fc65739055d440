//! An example of any schema: what it says itself, else what its name or its format suggests.

use serde_json::{Map, Value, json};

/// An example of `schema`; `name` is the field's or the type's.
pub(super) fn of(schema: &Value, name: &str, schemas: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let kind = reference.rsplit('/').next().unwrap_or_default();
        return of(&schemas[kind], kind, schemas);
    }
    if let Some(given) = schema.get("example").or_else(|| schema.get("const")).or_else(|| schema["enum"].get(0)) {
        return given.clone();
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().filter_map(|part| of(part, name, schemas).as_object().cloned());
        return Value::Object(parts.flatten().collect());
    }
    let choices = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if let Some(choice) = choices.into_iter().flatten().find(|choice| choice["type"] != "null") {
        return of(choice, name, schemas);
    }
    match kind(schema) {
        "object" => object(schema, name, schemas),
        "array" => {
            let item = of(&schema["items"], name, schemas);
            json!(vec![item; schema["minItems"].as_u64().unwrap_or(1) as usize])
        }
        "integer" => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
        "number" => json!(0.5),
        "boolean" => json!(true),
        "string" => json!(text(schema, name)),
        _ => Value::Null,
    }
}

/// A schema's type; of a nullable one the other.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    }
}

fn object(schema: &Value, owner: &str, schemas: &Value) -> Value {
    // Whose name it is decides what a name looks like.
    let label = |field: &str| if field == "name" { format!("{owner} name") } else { field.to_owned() };
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut example: Map<String, Value> =
        fields.map(|(name, field)| (name.clone(), of(field, &label(name), schemas))).collect();
    if schema["additionalProperties"].is_object() {
        example.insert("name".to_owned(), of(&schema["additionalProperties"], "name", schemas));
    }
    Value::Object(example)
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    match schema["format"].as_str() {
        Some("uuid") => return "0199a3f2-5b6e-7c41-9c5e-8f6a2d3b4c10",
        Some("date-time") => return "2026-09-01T08:00:00Z",
        Some("date") => return "2026-09-01",
        Some("binary") => return "iVBORw0KGgo=",
        _ => {}
    }
    match name {
        "PersonId" | "person" => "ada",
        "GroupId" | "group" => "maths-7b",
        "TenantId" | "tenant" => "school",
        "time_zone" => "Europe/Vienna",
        "key" => "rk_0123456789abcdef",
        "reason" => "too_small",
        "code" => "no_face",
        "message" => "What is wrong, for people.",
        name if name.ends_with("name") && name.contains("Group") => "Maths 7b",
        name if name.ends_with("name") && name.contains("Tenant") => "School",
        name if name.ends_with("name") => "Ada Lovelace",
        _ => "text",
    }
}
