//! On what ground a person's face is kept and compared, and until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::composed;
use error::{Error, ErrorKind, Result};

/// The beginning of 1900: no consent is older, and years before 0 are no dates of RFC 3339.
const FIRST: Timestamp = Timestamp::constant(-2_208_988_800, 0);
/// The longest `given_by`, in Unicode scalar values.
const MAX_GIVER_CHARS: usize = 200;
/// The longest note, in Unicode scalar values.
const MAX_NOTE_CHARS: usize = 1000;

/// Whether a tenant's people need a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentPolicy {
    /// It is kept where it is given.
    #[default]
    Off,
    /// Nobody is enrolled or found without one that holds.
    Required,
}

impl ConsentPolicy {
    /// Refuses a person without the consent that it asks for at `now`.
    ///
    /// # Errors
    /// `Unprocessable` `consent_required`, with the [`ConsentState`] in its details.
    pub fn require(self, consent: Option<&Consent>, now: Timestamp) -> Result<()> {
        let state = ConsentState::of(consent, now);
        if self == Self::Off || state == ConsentState::Valid {
            return Ok(());
        }
        let message = "the person has no consent that holds, which this tenant requires: record one first";
        Err(Error::new(ErrorKind::Unprocessable, message)
            .with_code("consent_required")
            .with_details(serde_json::json!({ "consent": state })))
    }
}

/// The grounds for processing of the GDPR, article 6 (1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegalBasis {
    /// The person, or who speaks for them, agreed.
    Consent,
    /// A contract with the person needs it.
    Contract,
    /// The law demands it.
    LegalObligation,
    /// A life depends on it.
    VitalInterest,
    /// A task in the public interest needs it.
    PublicTask,
    /// It outweighs the person's interests.
    LegitimateInterest,
}

/// Who agreed to it, when, and on what ground. "Consent" stands for every ground.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The person, a parent, or an office; 1–200 characters.
    pub given_by: String,
    /// When it was given.
    pub at: Timestamp,
    /// On what ground.
    pub basis: LegalBasis,
    /// When it ends; never if `None`.
    pub expires_at: Option<Timestamp>,
    /// Anything else, such as where the paper lies.
    pub note: Option<String>,
}

/// How it stands with a person's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// It holds.
    Valid,
    /// It has ended.
    Expired,
    /// There is none.
    Missing,
}

impl ConsentState {
    /// The state of a consent at a time.
    pub fn of(consent: Option<&Consent>, now: Timestamp) -> Self {
        match consent {
            None => Self::Missing,
            Some(consent) if consent.expires_at.is_some_and(|end| end <= now) => Self::Expired,
            Some(_) => Self::Valid,
        }
    }
}

impl Consent {
    /// A consent that can be so, its texts [composed].
    ///
    /// # Errors
    /// `Invalid` `invalid_consent` for one given in the future, one that ends before it begins, and texts that are too
    /// long or hold control characters.
    pub fn checked(self, now: Timestamp) -> Result<Self> {
        let giver = composed(self.given_by.trim());
        let note = self.note.as_deref().map(|note| composed(note).into_owned());
        let is_giver = (1..=MAX_GIVER_CHARS).contains(&giver.chars().count()) && !giver.chars().any(char::is_control);
        let is_note = |note: &String| {
            note.chars().count() <= MAX_NOTE_CHARS && !note.chars().any(|c| c.is_control() && c != '\n')
        };
        let problem = if !is_giver {
            "given_by is 1 to 200 characters without control characters"
        } else if !note.as_ref().is_none_or(is_note) {
            "note is up to 1000 characters without control characters"
        } else if self.at < FIRST {
            "at lies before 1900"
        } else if self.at > now {
            "at lies in the future"
        } else if self.expires_at.is_some_and(|end| end <= self.at) {
            "expires_at is not after at"
        } else {
            return Ok(Self { given_by: giver.into_owned(), note, ..self });
        };
        Err(Error::invalid(problem).with_code("invalid_consent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    fn consent(at: i64, expires_at: Option<i64>) -> Consent {
        Consent {
            given_by: " A parent ".into(),
            at: day(at),
            basis: LegalBasis::Consent,
            expires_at: expires_at.map(day),
            note: None,
        }
    }

    #[test]
    fn a_consent_holds_until_the_moment_it_ends() {
        let given = consent(1, Some(10));
        assert_eq!(ConsentState::of(None, day(1)), ConsentState::Missing);
        assert_eq!(ConsentState::of(Some(&given), day(9)), ConsentState::Valid);
        assert_eq!(ConsentState::of(Some(&given), day(10)), ConsentState::Expired);
        assert_eq!(ConsentState::of(Some(&consent(1, None)), day(9999)), ConsentState::Valid);
    }

    #[test]
    fn a_policy_asks_for_a_consent_that_holds() {
        let given = consent(1, Some(10));
        for (consent, at, is_refused) in [(None, 1, true), (Some(&given), 9, false), (Some(&given), 10, true)] {
            let refused = ConsentPolicy::Required.require(consent, day(at)).err();
            assert_eq!(refused.map(|error| error.code()), is_refused.then_some("consent_required"));
            assert!(ConsentPolicy::Off.require(consent, day(at)).is_ok());
        }
    }

    #[test]
    fn what_cannot_be_so_is_refused() {
        assert_eq!(consent(1, Some(10)).checked(day(5)).unwrap().given_by, "A parent");
        assert!(consent(1, Some(2)).checked(day(5)).is_ok(), "one that has ended already may be kept");
        let blank = Consent { given_by: "  ".into(), ..consent(1, None) };
        let noted = Consent { note: Some("x".repeat(1001)), ..consent(1, None) };
        let ancient = consent(-800_000, None);
        for bad in [consent(6, None), consent(3, Some(3)), ancient, blank, noted] {
            assert_eq!(bad.checked(day(5)).unwrap_err().code(), "invalid_consent");
        }
    }
}
