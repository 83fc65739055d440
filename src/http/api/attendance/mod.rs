//! Groups, when they meet, and who was there.

pub(super) mod groups;
pub(super) mod record;
pub(super) mod register;
pub(super) mod reports;
pub(super) mod rosters;
pub(super) mod sessions;
pub(super) mod strangers;
pub(super) mod timetables;
