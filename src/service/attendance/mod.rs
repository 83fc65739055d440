//! Groups, when they meet, and who was there.

pub mod groups;
pub mod record;
pub mod register;
pub mod reports;
pub mod rosters;
pub mod sessions;
pub mod strangers;
pub mod timetables;
