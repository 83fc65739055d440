//! Identifiers: checked once at the door, plain strings or time-ordered UUIDs afterwards.

use std::{fmt, str::FromStr, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::people::words::composed;
use error::{Error, Result};

/// The longest identifier a client may give, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// The longest name, in Unicode scalar values.
pub const MAX_NAME_CHARS: usize = 200;
/// The longest name of a tenant's files, in bytes: file systems take 255, and `.key` is put behind it.
const MAX_FILE_NAME_BYTES: usize = 251;

/// Checks an identifier given by a client: 1–128 of letters, digits and `._-@:/+ `, not blank at either end. Neither
/// `.` nor `..`: URL clients take such a path segment out, even percent-encoded, and would reach another route.
fn check_id(text: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@:/+ ".contains(c);
    let fits = (1..=MAX_ID_BYTES).contains(&text.len()) && text.chars().all(allowed) && text.trim() == text;
    if !fits || [".", ".."].contains(&text) {
        return Err(Error::invalid(format!(
            "an id is 1 to {MAX_ID_BYTES} of letters, digits and ._-@:/+ or inner spaces, and not . or .."
        ))
        .with_code("invalid_id"));
    }
    Ok(())
}

/// Checks a name: any Unicode but control characters, 1–200 characters after trimming. Returns it trimmed and
/// [composed].
pub fn checked_name(text: &str) -> Result<String> {
    let name = composed(text.trim());
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!("a name is 1 to {MAX_NAME_CHARS} characters without control characters"))
            .with_code("invalid_name"));
    }
    Ok(name.into_owned())
}

macro_rules! client_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 128)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A fresh, time-ordered identifier, for clients that give none.
            pub fn generate() -> Self {
                Self(Uuid::now_v7().to_string().into())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                check_id(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

client_id!(
    /// An institution or an account.
    TenantId
);
client_id!(
    /// A class or an event.
    GroupId
);
client_id!(
    /// A student or a user.
    PersonId
);
client_id!(
    /// Somebody who logs in; unique in their tenant.
    UserId
);

impl TenantId {
    /// What the tenant's files and folders are called: an id may hold slashes, a name of a file may not.
    pub fn file_name(&self) -> String {
        self.0.replace('/', "%2F")
    }

    /// Errors unless a new tenant may have this id, whose files have to have names: `Invalid` `invalid_id`.
    pub fn require_file_name(&self) -> Result<()> {
        if self.file_name().len() <= MAX_FILE_NAME_BYTES {
            return Ok(());
        }
        let message = format!(
            "an id of a tenant is at most {MAX_FILE_NAME_BYTES} bytes where each slash counts as three: take one with fewer slashes"
        );
        Err(Error::invalid(message).with_code("invalid_id"))
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh, time-ordered identifier (UUID version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The sixteen bytes, in time order.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the sixteen bytes of [`Self::as_bytes`].
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| Error::invalid("this id is a UUID").with_code("invalid_id"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One enrolled face sample.
    FaceId
);
uuid_id!(
    /// A person in the store's keys and in cursors; says nothing of who it is.
    Pseudonym
);
uuid_id!(
    /// One attendance record.
    RecordId
);
uuid_id!(
    /// One photo that was sent for recognition; the photo itself need not be kept.
    PhotoId
);

impl PhotoId {
    /// The id of a photo in a session: of the same file the same, however often it comes. In another session it is
    /// another, so it does not say that a photo was sent elsewhere as well. A UUID of version 8 from a SHA-256.
    pub fn of(session: GroupSessionId, file: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(session.as_bytes()).chain_update(file).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

uuid_id!(
    /// One API key; says nothing of its secret.
    KeyId
);
uuid_id!(
    /// One login.
    SessionId
);
uuid_id!(
    /// One session of a group.
    GroupSessionId
);
uuid_id!(
    /// Somebody in a session for whom nobody was named.
    StrangerId
);
uuid_id!(
    /// One webhook.
    WebhookId
);
uuid_id!(
    /// One erasure of a person or a tenant; says nothing of them.
    ErasureId
);
uuid_id!(
    /// One copy of the whole store that was given away.
    BackupId
);
uuid_id!(
    /// One job.
    JobId
);

/// What the id of a session that a timetable plans is made of, so that it can be named before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedId {
    /// The timetable's tag.
    pub tag: TimetableTag,
    /// The number of the timetable's entry; 0 for a whole local day.
    pub entry: u16,
    /// The local date for which it was planned.
    pub date: Date,
}

/// Tells the timetables of a tenant apart.
pub type TimetableTag = [u8; 6];

/// A tag by chance.
pub fn fresh_tag() -> TimetableTag {
    let [.., a, b, c, d, e, f] = Uuid::now_v7().into_bytes();
    [a, b, c, d, e, f]
}

impl PlannedId {
    /// The id: a UUID of version 8, tag, entry and date from the left.
    pub fn id(self) -> GroupSessionId {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.tag);
        bytes[9..11].copy_from_slice(&self.entry.to_be_bytes());
        bytes[11..13].copy_from_slice(&self.date.year().to_be_bytes());
        bytes[13..15].copy_from_slice(&[self.date.month() as u8, self.date.day() as u8]);
        GroupSessionId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The parts of `id`, if it was made so.
    pub fn of(id: GroupSessionId) -> Option<Self> {
        let bytes = id.as_bytes();
        let (tag, _) = bytes.split_first_chunk()?;
        let date = Date::new(i16::from_be_bytes([bytes[11], bytes[12]]), bytes[13] as i8, bytes[14] as i8).ok()?;
        let parts = Self { tag: *tag, entry: u16::from_be_bytes([bytes[9], bytes[10]]), date };
        (parts.id() == id).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_the_documented_characters_and_nothing_else() {
        for good in ["a", "2024/cs-101", "jane.doe+x@uni:1", "room 12", "...", "a/..", &"x".repeat(128)] {
            assert!(good.parse::<PersonId>().is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "a\0", "é", "a?b", "a\n", ".", "..", &"x".repeat(129)] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tenants_id_has_a_file_name() {
        let id = |slashes: usize| -> TenantId { ("/".repeat(slashes) + &"x".repeat(128 - slashes)).parse().unwrap() };
        assert_eq!("a/b".parse::<TenantId>().unwrap().file_name(), "a%2Fb");
        assert!([0, 1, 61].into_iter().all(|slashes| id(slashes).require_file_name().is_ok()));
        for slashes in [62, 63, 128] {
            assert_eq!(id(slashes).require_file_name().unwrap_err().code(), "invalid_id");
        }
    }

    #[test]
    fn names_are_any_unicode_trimmed() {
        assert_eq!(checked_name("  Zoë 李  ").unwrap(), "Zoë 李");
        assert!(checked_name("   ").is_err());
        assert!(checked_name("a\u{0}b").is_err());
        assert!(checked_name(&"é".repeat(200)).is_ok());
        assert!(checked_name(&"é".repeat(201)).is_err());
        assert_eq!(checked_name("Zoe\u{308}").unwrap(), "Zoë", "as a Mac writes it");
        assert!(checked_name(&"e\u{301}".repeat(200)).is_ok());
    }

    #[test]
    fn generated_ids_grow_with_time() {
        assert!(FaceId::generate() < FaceId::generate());
    }

    #[test]
    fn a_photo_is_the_same_one_within_a_session_alone() {
        let (one, other) = (GroupSessionId::generate(), GroupSessionId::generate());
        assert_eq!(PhotoId::of(one, b"photo"), PhotoId::of(one, b"photo"));
        assert_ne!(PhotoId::of(one, b"photo"), PhotoId::of(one, b"photo."));
        assert_ne!(PhotoId::of(one, b"photo"), PhotoId::of(other, b"photo"));
        assert_eq!(PhotoId::of(one, b"").0.get_version_num(), 8);
    }

    #[test]
    fn a_planned_id_says_what_it_was_made_of() {
        for date in [jiff::civil::date(2026, 3, 29), jiff::civil::date(-44, 3, 15)] {
            let planned = PlannedId { tag: [1, 2, 255, 4, 0, 6], entry: 700, date };
            assert_eq!(PlannedId::of(planned.id()), Some(planned));
            assert_eq!(planned.id().to_string().parse::<GroupSessionId>().unwrap(), planned.id());
        }
        assert_eq!(PlannedId::of(GroupSessionId::generate()), None);
    }
}
