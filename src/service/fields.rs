//! How the fields of a request are read where serde's own way will not do.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Error, Unexpected, Visitor},
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

/// A boolean spelled `true` or `false`, in a form or in JSON; the form reader alone would take `on` as well.
pub(super) fn strict_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Spelled;

    impl Visitor<'_> for Spelled {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true or false")
        }

        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_any(Spelled).map(Some)
}
