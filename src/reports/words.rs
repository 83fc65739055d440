//! Statuses for people: a letter where there is little room, and what it means.

use crate::domain::Status;

/// A status in a narrow column.
pub(super) const fn letter(status: Status) -> &'static str {
    match status {
        Status::Undecided => "?",
        Status::Present => "P",
        Status::Late => "L",
        Status::LeftEarly => "E",
        Status::Absent => "A",
        Status::Excused => "X",
        Status::Holiday => "H",
        Status::NotOnRoster => "N",
        Status::Covered => "C",
    }
}

/// What the letter means.
pub(super) const fn meaning(status: Status) -> &'static str {
    match status {
        Status::Undecided => "undecided",
        Status::Present => "present",
        Status::Late => "late",
        Status::LeftEarly => "left early",
        Status::Absent => "absent",
        Status::Excused => "excused",
        Status::Holiday => "holiday",
        Status::NotOnRoster => "not on the roster",
        Status::Covered => "covered by other sessions",
    }
}
