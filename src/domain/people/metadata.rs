//! What an institution keeps beside a person: a flat map of text to text.

use std::collections::BTreeMap;

use super::words::composed;
use error::{Error, Result};

/// The most entries of a person.
pub const MAX_ENTRIES: usize = 32;
/// The longest key, in Unicode scalar values.
pub const MAX_KEY_CHARS: usize = 64;
/// The longest value, in Unicode scalar values.
pub const MAX_VALUE_CHARS: usize = 500;
/// The most bytes of all keys and values together.
pub const MAX_BYTES: usize = 8 * 1024;

/// Text by text.
pub type Metadata = BTreeMap<String, String>;

/// Entries to set; `None` removes one.
pub type MetadataPatch = BTreeMap<String, Option<String>>;

/// `present` with the changes of `patch`, all of it [composed]: an entry that is there in another form of its key is that
/// entry.
///
/// # Errors
/// `Invalid` `invalid_metadata` where there would be too much, or for a key that is blank at either end.
pub fn changed(present: Metadata, patch: MetadataPatch) -> Result<Metadata> {
    let in_form = |text: String| composed(&text).into_owned();
    let mut present: Metadata = present.into_iter().map(|(key, value)| (in_form(key), in_form(value))).collect();
    for (key, value) in patch {
        let key = in_form(key);
        match value {
            Some(value) => present.insert(key, in_form(value)),
            None => present.remove(&key),
        };
    }
    let bytes: usize = present.iter().map(|(key, value)| key.len() + value.len()).sum();
    if present.len() > MAX_ENTRIES || bytes > MAX_BYTES || !present.iter().all(|(key, value)| is_entry(key, value)) {
        let message = format!(
            "metadata is up to {MAX_ENTRIES} entries of {MAX_BYTES} bytes together, a key 1 to {MAX_KEY_CHARS} \
             characters and not blank at either end, a value up to {MAX_VALUE_CHARS}, none with a control character"
        );
        return Err(Error::invalid(message).with_code("invalid_metadata"));
    }
    Ok(present)
}

fn is_entry(key: &str, value: &str) -> bool {
    let is_key = (1..=MAX_KEY_CHARS).contains(&key.chars().count()) && key.trim() == key;
    // A value may run over several lines.
    let is_value = value.chars().count() <= MAX_VALUE_CHARS && !value.chars().any(|c| c.is_control() && c != '\n');
    is_key && !key.chars().any(char::is_control) && is_value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(entries: &[(&str, Option<&str>)]) -> MetadataPatch {
        entries.iter().map(|&(key, value)| (key.to_owned(), value.map(str::to_owned))).collect()
    }

    #[test]
    fn entries_are_set_kept_and_removed() {
        let first =
            changed(Metadata::new(), patch(&[("seat", Some("3")), ("year", Some("2026")), ("x", None)])).unwrap();
        let then = changed(first, patch(&[("seat", None), ("house", Some("Öst\nWest"))])).unwrap();
        let entries: Vec<(&str, &str)> = then.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(entries, [("house", "Öst\nWest"), ("year", "2026")]);
    }

    #[test]
    fn two_forms_of_a_key_are_one_entry() {
        let old = Metadata::from([("e\u{301}cole".to_owned(), "Sacre\u{301}".to_owned())]);
        let then = changed(old.clone(), MetadataPatch::new()).unwrap();
        assert_eq!(then, Metadata::from([("école".to_owned(), "Sacré".to_owned())]));
        assert_eq!(
            changed(old, patch(&[("école", Some("x"))])).unwrap(),
            Metadata::from([("école".to_owned(), "x".to_owned())])
        );
    }

    #[test]
    fn every_bound_holds_also_for_what_was_there_before() {
        let full: MetadataPatch = (0..MAX_ENTRIES).map(|n| (n.to_string(), Some("v".to_owned()))).collect();
        let full = changed(Metadata::new(), full).unwrap();
        assert!(changed(full.clone(), patch(&[("one more", Some(""))])).is_err());
        assert!(changed(full, patch(&[("0", None), ("one more", Some(""))])).is_ok());
        let long = "é".repeat(MAX_VALUE_CHARS);
        assert!(changed(Metadata::new(), patch(&[("k", Some(&long))])).is_ok());
        let heavy: MetadataPatch = (0..9).map(|n| (n.to_string(), Some(long.clone()))).collect();
        assert!(changed(Metadata::new(), heavy).is_err(), "more bytes than fit");
        let longer = format!("{long}x");
        for (key, value) in
            [("", "v"), (" k", "v"), ("k\n", "v"), ("k", "\u{7}"), ("k", &longer), (&*"k".repeat(65), "v")]
        {
            let refused = changed(Metadata::new(), patch(&[(key, Some(value))])).unwrap_err();
            assert_eq!(refused.code(), "invalid_metadata", "{key:?}");
        }
    }
}
