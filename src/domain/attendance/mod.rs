//! Groups, when they meet, and who was there.

pub mod group;
pub mod record;
pub mod roster;
pub mod rules;
pub mod session;
pub mod stranger;
pub mod timetable;
