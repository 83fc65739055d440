//! A student or a user.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{consent::Consent, metadata::Metadata, words::composed};
use crate::ids::PersonId;
use error::{Error, Result};

/// The most face samples one person may have.
pub const MAX_FACES_A_PERSON: usize = 100;
/// The longest e-mail address, in bytes.
pub const MAX_EMAIL_BYTES: usize = 254;

/// A person of a tenant. Their groups and face samples are records of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Unique in the tenant.
    pub id: PersonId,
    /// Any Unicode, 1–200 characters.
    pub name: String,
    /// Where they are reached.
    pub email: Option<String>,
    /// What else the institution keeps.
    pub metadata: Metadata,
    /// On what ground their face is kept.
    pub consent: Option<Consent>,
    /// When they were enrolled.
    pub created_at: Timestamp,
    /// When a consent was withdrawn last: one of an earlier time is none any more.
    pub consent_withdrawn_at: Option<Timestamp>,
}

impl Person {
    /// A person of whom no more is known.
    pub fn new(id: PersonId, name: String, created_at: Timestamp) -> Self {
        Self { id, name, email: None, metadata: Metadata::new(), consent: None, created_at, consent_withdrawn_at: None }
    }
}

/// Checks an e-mail address as far as can be told without sending to it, and returns it trimmed and [composed].
pub fn checked_email(text: &str) -> Result<String> {
    let email = composed(text.trim());
    let is_whole = email.rsplit_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !is_whole || email.len() > MAX_EMAIL_BYTES || email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message = format!("an e-mail address is somebody@somewhere, up to {MAX_EMAIL_BYTES} bytes without spaces");
        return Err(Error::invalid(message).with_code("invalid_email"));
    }
    Ok(email.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_sides_and_no_spaces() {
        for good in ["a@b", " ada.l+x@uni.example ", "zoë@bücher.example"] {
            assert_eq!(checked_email(good).unwrap(), good.trim());
        }
        assert_eq!(checked_email("zoe\u{308}@x").unwrap(), "zoë@x");
        for bad in ["", "ada", "@b", "a@", "a b@c", "a@b\nc", &format!("{}@b", "a".repeat(253))] {
            assert_eq!(checked_email(bad).unwrap_err().code(), "invalid_email", "{bad:?}");
        }
    }
}
