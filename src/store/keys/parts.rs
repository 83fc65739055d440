//! What keys are put together of, and taken apart into.

use std::str::FromStr;

use jiff::civil::Date;

use super::Key;
use crate::domain::{GroupSessionId, JobId, Pseudonym, Realm};

/// Puts a key together.
pub(super) trait Part {
    fn text(self, text: &str) -> Self;
    fn fixed(self, bytes: &[u8]) -> Self;
}

impl Part for Key {
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

/// Year, month and day such that bytes sort as dates do.
pub(super) fn date_bytes(date: Date) -> [u8; 4] {
    // A date's years are -9999..=9999; flipping the sign bit makes unsigned order theirs.
    let [y0, y1] = (date.year() as u16 ^ 0x8000).to_be_bytes();
    [y0, y1, date.month() as u8, date.day() as u8]
}

/// No tenant has an empty id.
pub(super) fn realm_text(realm: &Realm) -> &str {
    match realm {
        Realm::Server => "",
        Realm::Tenant(tenant) => tenant.as_str(),
    }
}

/// The parts of a key that were not read yet.
pub(super) struct Parts<'a>(pub(super) &'a [u8]);

impl Parts<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.fixed().map(|[byte]| byte)
    }

    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn text<T: FromStr>(&mut self) -> Option<T> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (text, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    pub(super) fn job(&mut self) -> Option<JobId> {
        self.fixed().map(JobId::from_bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.fixed().map(u64::from_be_bytes)
    }

    pub(super) fn person(&mut self) -> Option<Pseudonym> {
        self.fixed().map(Pseudonym::from_bytes)
    }

    pub(super) fn realm(&mut self) -> Option<Realm> {
        match self.0.split_first() {
            Some((0, rest)) => {
                self.0 = rest;
                Some(Realm::Server)
            }
            _ => self.text().map(Realm::Tenant),
        }
    }

    pub(super) fn session(&mut self) -> Option<GroupSessionId> {
        self.fixed().map(GroupSessionId::from_bytes)
    }

    pub(super) fn date(&mut self) -> Option<Date> {
        let [y0, y1, month, day] = self.fixed()?;
        Date::new((u16::from_be_bytes([y0, y1]) ^ 0x8000) as i16, month as i8, day as i8).ok()
    }
}
