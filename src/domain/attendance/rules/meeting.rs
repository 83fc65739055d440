//! When a group meets, as the rules see it.

use jiff::Timestamp;

/// A session, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Whether somebody planned it. One that nobody did is a whole local day: nobody is late for it or leaves it early.
    pub is_planned: bool,
    /// When the last of its photos was taken, whoever is in it; `None` without photos.
    pub last_photo: Option<Timestamp>,
    /// Whether nobody need be there.
    pub is_holiday: bool,
    /// Whether it is closed and all that it waits for has come, or need not come: who has not been seen is absent.
    pub declares_absence: bool,
}
