//! An example of any schema: what it says itself, else what its name or its format suggests.

use serde_json::{Map, Value, json};

/// Which fields of an object an example has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fields {
    /// All that there are: what an answer looks like.
    All,
    /// Those that have to be there: what is sent as it stands sets nothing that nobody thought of.
    Needed,
}

/// Examples of schemas that refer to `schemas`.
#[derive(Clone, Copy)]
pub(super) struct Examples<'a> {
    pub(super) schemas: &'a Value,
    pub(super) fields: Fields,
}

impl Examples<'_> {
    /// An example of `schema`; `name` is the field's or the type's.
    pub(super) fn of(self, schema: &Value, name: &str) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let kind = reference.rsplit('/').next().unwrap_or_default();
            return self.of(&self.schemas[kind], kind);
        }
        if let Some(given) = schema.get("example").or_else(|| schema.get("const")).or_else(|| schema["enum"].get(0)) {
            return given.clone();
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().filter_map(|part| self.of(part, name).as_object().cloned());
            return Value::Object(parts.flatten().collect());
        }
        let choices = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        if let Some(choice) = choices.into_iter().flatten().find(|choice| choice["type"] != "null") {
            return self.of(choice, name);
        }
        match kind(schema) {
            "object" => self.object(schema, name),
            "array" => {
                let item = self.of(&schema["items"], name);
                json!(vec![item; schema["minItems"].as_u64().unwrap_or(1) as usize])
            }
            "integer" => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
            "number" => json!(0.5),
            "boolean" => json!(true),
            "string" => json!(text(schema, name)),
            _ => Value::Null,
        }
    }

    fn object(self, schema: &Value, owner: &str) -> Value {
        // Whose name it is decides what a name looks like.
        let label = |field: &str| if field == "name" { format!("{owner} name") } else { field.to_owned() };
        let required = schema["required"].as_array().into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let is_shown = |field: &str| self.fields == Fields::All || required.contains(&field);
        let fields = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| is_shown(name));
        let mut example: Map<String, Value> =
            fields.map(|(name, field)| (name.clone(), self.of(field, &label(name)))).collect();
        if schema["additionalProperties"].is_object() && self.fields == Fields::All {
            example.insert("name".to_owned(), self.of(&schema["additionalProperties"], "name"));
        }
        Value::Object(example)
    }
}

/// A schema's type; of a nullable one the other.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    }
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
