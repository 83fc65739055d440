//! What keys are put together of, and taken apart into.

use std::fmt;

use jiff::civil::Date;

use super::{Key, PersonDigest, WordDigest};
use crate::domain::{
    BackupId, ErasureId, FaceId, GroupId, GroupSessionId, JobId, KeyId, Pseudonym, Realm, RecordId, SessionId,
    StrangerId, TenantId, UserId, WebhookId, ids::TimetableTag,
};

/// A type that keys have a part of.
pub(in crate::store) trait KeyPart: Sized {
    /// What makers of keys take: itself, or a reference where it is no mere number.
    type Arg<'a>;

    fn arg(&self) -> Self::Arg<'_>;
    /// Puts it at the end of a key: by a fixed length, or ended by a zero byte, so that keys sort as it does.
    fn put(arg: Self::Arg<'_>, key: Key) -> Key;
    /// Reads it from a key; `None` where it is not there.
    fn take(parts: &mut Parts<'_>) -> Option<Self>;
    /// Writes a space and what the operator knows it by, if they do.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// One that differs by the seed.
    #[cfg(test)]
    fn sample(seed: u8) -> Self;
}

/// Puts a key together.
pub(in crate::store) trait Part {
    fn with<T: KeyPart>(self, arg: T::Arg<'_>) -> Self;
    fn text(self, text: &str) -> Self;
    fn fixed(self, bytes: &[u8]) -> Self;
}

impl Part for Key {
    fn with<T: KeyPart>(self, arg: T::Arg<'_>) -> Self {
        T::put(arg, self)
    }

    /// A part of any length, ended by a zero byte.
    fn text(mut self, text: &str) -> Self {
        self.extend_from_slice(text.as_bytes());
        self.push(0);
        self
    }

    /// A part whose length its kind of key fixes.
    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.extend_from_slice(bytes);
        self
    }
}

/// The parts of a key that were not read yet.
pub(in crate::store) struct Parts<'a>(pub(super) &'a [u8]);

impl Parts<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::store) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn text(&mut self) -> Option<&str> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()
    }
}

/// Identifiers that clients give.
macro_rules! text_parts {
    ($($id:ty),*) => {
        $(impl KeyPart for $id {
            type Arg<'a> = &'a Self;

            fn arg(&self) -> &Self {
                self
            }

            fn put(id: &Self, key: Key) -> Key {
                key.text(id.as_str())
            }

            fn take(parts: &mut Parts<'_>) -> Option<Self> {
                parts.text()?.parse().ok()
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }

            #[cfg(test)]
            fn sample(seed: u8) -> Self {
                format!("id/{seed}").parse().unwrap()
            }
        })*
    };
}

text_parts!(TenantId, GroupId, UserId);

/// Identifiers that the store gives.
macro_rules! uuid_parts {
    ($($id:ty),*) => {
        $(impl KeyPart for $id {
            type Arg<'a> = Self;

            fn arg(&self) -> Self {
                *self
            }

            fn put(id: Self, key: Key) -> Key {
                key.fixed(id.as_bytes())
            }

            fn take(parts: &mut Parts<'_>) -> Option<Self> {
                parts.fixed().map(Self::from_bytes)
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }

            #[cfg(test)]
            fn sample(seed: u8) -> Self {
                Self::from_bytes([seed; 16])
            }
        })*
    };
}

uuid_parts!(
    BackupId,
    ErasureId,
    FaceId,
    GroupSessionId,
    JobId,
    KeyId,
    Pseudonym,
    RecordId,
    SessionId,
    StrangerId,
    WebhookId
);

/// Numbers, such that bytes sort as they do.
macro_rules! number_parts {
    ($($number:ty),*) => {
        $(impl KeyPart for $number {
            type Arg<'a> = Self;

            fn arg(&self) -> Self {
                *self
            }

            fn put(number: Self, key: Key) -> Key {
                key.fixed(&number.to_be_bytes())
            }

            fn take(parts: &mut Parts<'_>) -> Option<Self> {
                parts.fixed().map(Self::from_be_bytes)
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, " {self}")
            }

            #[cfg(test)]
            fn sample(seed: u8) -> Self {
                Self::from(seed) << 8
            }
        })*
    };
}

number_parts!(u32, u64);

/// Year, month and day such that bytes sort as dates do.
impl KeyPart for Date {
    type Arg<'a> = Self;

    fn arg(&self) -> Self {
        *self
    }

    fn put(date: Self, key: Key) -> Key {
        // A date's years are -9999..=9999; flipping the sign bit makes unsigned order theirs.
        let [y0, y1] = (date.year() as u16 ^ 0x8000).to_be_bytes();
        key.fixed(&[y0, y1, date.month() as u8, date.day() as u8])
    }

    fn take(parts: &mut Parts<'_>) -> Option<Self> {
        let [y0, y1, month, day] = parts.fixed()?;
        Self::new((u16::from_be_bytes([y0, y1]) ^ 0x8000) as i16, month as i8, day as i8).ok()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {self}")
    }

    #[cfg(test)]
    fn sample(seed: u8) -> Self {
        Self::constant(-44 - i16::from(seed), 3, 15)
    }
}

/// No tenant has an empty id.
impl KeyPart for Realm {
    type Arg<'a> = &'a Self;

    fn arg(&self) -> &Self {
        self
    }

    fn put(realm: &Self, key: Key) -> Key {
        match realm {
            Self::Server => key.text(""),
            Self::Tenant(tenant) => key.text(tenant.as_str()),
        }
    }

    fn take(parts: &mut Parts<'_>) -> Option<Self> {
        match parts.0.split_first() {
            Some((0, rest)) => {
                parts.0 = rest;
                Some(Self::Server)
            }
            _ => TenantId::take(parts).map(Self::Tenant),
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str(" server"),
            Self::Tenant(tenant) => write!(f, " tenant {tenant}"),
        }
    }

    #[cfg(test)]
    fn sample(seed: u8) -> Self {
        if seed == 0 { Self::Server } else { Self::Tenant(TenantId::sample(seed)) }
    }
}

/// A SHA-256: its beginning tells it from others well enough.
impl KeyPart for PersonDigest {
    type Arg<'a> = &'a Self;

    fn arg(&self) -> &Self {
        self
    }

    fn put(digest: &Self, key: Key) -> Key {
        key.fixed(digest)
    }

    fn take(parts: &mut Parts<'_>) -> Option<Self> {
        parts.fixed()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", hex::encode(&self[..4]))
    }

    #[cfg(test)]
    fn sample(seed: u8) -> Self {
        [seed; 32]
    }
}

/// Tells the operator nothing.
impl KeyPart for WordDigest {
    type Arg<'a> = Self;

    fn arg(&self) -> Self {
        *self
    }

    fn put(digest: Self, key: Key) -> Key {
        key.fixed(&digest)
    }

    fn take(parts: &mut Parts<'_>) -> Option<Self> {
        parts.fixed()
    }

    fn show(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    #[cfg(test)]
    fn sample(seed: u8) -> Self {
        [seed; 8]
    }
}

impl KeyPart for TimetableTag {
    type Arg<'a> = Self;

    fn arg(&self) -> Self {
        *self
    }

    fn put(tag: Self, key: Key) -> Key {
        key.fixed(&tag)
    }

    fn take(parts: &mut Parts<'_>) -> Option<Self> {
        parts.fixed()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", hex::encode(self))
    }

    #[cfg(test)]
    fn sample(seed: u8) -> Self {
        [seed; 6]
    }
}
