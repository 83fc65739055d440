//! Photos of people that a tenant keeps: what is known of them. Their pixels lie in the vault.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{FaceId, PersonId};
use error::{Error, Result};

/// The most days that photos may be kept for.
pub const MAX_RETENTION_DAYS: u32 = 36_500;

/// Which photos of people are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhotoPolicy {
    /// None; those that are kept are removed.
    #[default]
    Off,
    /// The face with its surroundings.
    Crops,
    /// The whole image.
    Originals,
}

/// How much of an image a kept photo shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhotoForm {
    /// The face with its surroundings.
    Crop,
    /// The whole image.
    Original,
}

impl PhotoPolicy {
    /// What is kept of an image.
    pub fn form(self) -> Option<PhotoForm> {
        match self {
            Self::Off => None,
            Self::Crops => Some(PhotoForm::Crop),
            Self::Originals => Some(PhotoForm::Original),
        }
    }
}

/// Which photos a tenant keeps, and how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoRules {
    /// Which.
    pub policy: PhotoPolicy,
    /// For how many days; as long as their sample if `None`.
    pub retention_days: Option<u32>,
}

impl PhotoRules {
    /// Whether a photo is to be removed at `now`.
    pub fn is_over(self, photo: &KeptPhoto, now: Timestamp) -> bool {
        let days = self.retention_days.map(|days| i64::from(days.min(MAX_RETENTION_DAYS)));
        // Past the end of the calendar nothing is due.
        let end = days.and_then(|days| photo.kept_at.checked_add((24 * days).hours()).ok());
        self.policy == PhotoPolicy::Off || end.is_some_and(|end| end <= now)
    }
}

/// Errors: `Invalid` `invalid_retention` over [`MAX_RETENTION_DAYS`].
pub fn check_retention(days: Option<u32>) -> Result<()> {
    if days.is_none_or(|days| days <= MAX_RETENTION_DAYS) {
        return Ok(());
    }
    let message =
        format!("photos are kept for at most {MAX_RETENTION_DAYS} days, or with null as long as their sample");
    Err(Error::invalid(message).with_code("invalid_retention"))
}

/// A file of the vault: random, so that its name says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PhotoFile([u8; 16]);

impl PhotoFile {
    /// The file of these random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for PhotoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for PhotoFile {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

/// The photo behind a face sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPhoto {
    /// The sample.
    pub face: FaceId,
    /// Whose it is.
    pub person: PersonId,
    /// Where it lies.
    pub file: PhotoFile,
    /// How much it shows.
    pub form: PhotoForm,
    /// Since when.
    pub kept_at: Timestamp,
}

/// The key that a person's photos are encrypted with, itself encrypted with the tenant's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoKey {
    /// Whose photos.
    pub person: PersonId,
    /// The encrypted key.
    pub sealed: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_go_when_their_days_are_over_or_none_are_wanted() {
        let kept_at: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let photo = KeptPhoto {
            face: FaceId::generate(),
            person: "p".parse().unwrap(),
            file: PhotoFile::from_bytes([1; 16]),
            form: PhotoForm::Crop,
            kept_at,
        };
        let is_over = |policy, retention_days, now: &str| {
            PhotoRules { policy, retention_days }.is_over(&photo, now.parse().unwrap())
        };
        for policy in [PhotoPolicy::Crops, PhotoPolicy::Originals] {
            assert!(!is_over(policy, None, "2999-01-01T00:00:00Z"));
            assert!(is_over(policy, Some(0), "2026-03-01T12:00:00Z"));
            assert!(!is_over(policy, Some(30), "2026-03-31T11:59:59Z"));
            assert!(is_over(policy, Some(30), "2026-03-31T12:00:00Z"));
            assert!(!is_over(policy, Some(MAX_RETENTION_DAYS), "2126-01-01T00:00:00Z"));
        }
        assert!(is_over(PhotoPolicy::Off, None, "2026-03-01T12:00:00Z"));
        assert!(is_over(PhotoPolicy::Off, Some(30), "2026-03-01T12:00:00Z"));
    }

    #[test]
    fn a_file_is_read_from_its_name_alone() {
        let file = PhotoFile::from_bytes([0xAB; 16]);
        assert_eq!(file.to_string().parse(), Ok(file));
        for bad in ["", "key", "abab", &format!("{file}00")] {
            assert!(bad.parse::<PhotoFile>().is_err(), "{bad}");
        }
    }
}
