//! How the fields of a request are read where serde's own way will not do.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::Value;

/// Tells a null from a field that is not there.
#[expect(clippy::option_option, reason = "the outer is whether it was given, the inner whether it is null")]
pub(super) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// An object, which in a form is the text of its JSON.
pub(super) fn json_or_text<'de, T: DeserializeOwned, D: Deserializer<'de>>(field: D) -> Result<T, D::Error> {
    match Value::deserialize(field)? {
        Value::String(text) => serde_json::from_str(&text),
        value => serde_json::from_value(value),
    }
    .map_err(D::Error::custom)
}
