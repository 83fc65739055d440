//! Reports of attendance: rows of people go in, tables and pictures come out, a block of people at a time.
//!
//! What is shown is that of closed sessions. A percentage is of the sessions that count for a person: those that they
//! attended and those from which they were absent. Excused ones, holidays, those before they came onto the roster and
//! those that are undecided are left out of it ([`Status::is_counted`]).

pub mod caption;
pub mod csv;
pub mod heatmap;
pub mod json;
pub mod lines;
mod pages;
pub mod sorted;
pub mod svg;
pub mod tables;
pub mod tally;
mod words;
pub mod writer;
pub mod xlsx;

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{GroupId, GroupSessionId, PersonId, Status};

/// Of what a line of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A person, over all sessions.
    Person,
    /// A person, over all sessions and in each.
    Matrix,
    /// A session, over all people.
    Session,
    /// A group, over all its sessions and people.
    Group,
}

/// The dates that a report is of, the local ones of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Period {
    /// The first date.
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// The last date.
    #[schema(value_type = String, format = Date)]
    pub until: Date,
}

/// A session of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportSession {
    /// Which.
    pub session: GroupSessionId,
    /// Whose.
    pub group: GroupId,
    /// The group's name.
    pub group_name: String,
    /// What it is about.
    pub title: Option<String>,
    /// Its local date.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// When it starts.
    #[schema(value_type = String, format = DateTime)]
    pub starts_at: Timestamp,
    /// The same on the clocks of the group.
    #[schema(value_type = String, example = "2026-03-02T08:00:00")]
    pub local_start: DateTime,
}

/// A person in all the sessions of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRow {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// What the register says of them in each session, in the order of the sessions, which is that of their starts;
    /// `None` where they have no record.
    pub cells: Vec<Option<Cell>>,
}

/// What the register says of a person in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What counts.
    pub status: Status,
    /// By how many minutes they were late.
    pub late_minutes: u32,
}

#[cfg(test)]
mod tests;
