//! What stands above a report that people read.

use super::{By, Period, ReportSession, svg::short};

/// So many groups are named; of more, their number is told.
const NAMED_GROUPS: usize = 3;
/// What their names have of a line that fits on an upright A4 with its dates, in characters.
const NAMES_CHARS: usize = 66;

/// Title, whose, and of when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// What the report shows.
    pub title: String,
    /// The names of its groups and its dates.
    pub of: String,
}

impl Caption {
    /// Of a report over `sessions`; of people who attended less than `below`, where that is given.
    pub fn new(by: By, below: Option<f64>, period: Period, sessions: &[ReportSession]) -> Self {
        let title = match (below, by) {
            (Some(below), _) => format!("Attendance below {} %", (below * 1e3).round() / 10.0),
            (None, By::Person) => "Attendance by person".to_owned(),
            (None, By::Matrix) => "Register".to_owned(),
            (None, By::Session) => "Attendance by session".to_owned(),
            (None, By::Group) => "Attendance by group".to_owned(),
        };
        Self { title, of: of(period, sessions) }
    }

    /// Of a heat map.
    pub fn of_heatmap(period: Period, sessions: &[ReportSession]) -> Self {
        Self { title: "Attendance by weekday and hour".to_owned(), of: of(period, sessions) }
    }
}

fn of(Period { from, until }: Period, sessions: &[ReportSession]) -> String {
    let mut groups: Vec<(&str, &str)> =
        sessions.iter().map(|session| (session.group_name.as_str(), session.group.as_str())).collect();
    groups.sort_unstable();
    groups.dedup();
    let groups = match groups.len() {
        0 => "no closed session".to_owned(),
        named @ 1..=NAMED_GROUPS => {
            groups.iter().map(|(name, _)| short(name, NAMES_CHARS / named)).collect::<Vec<_>>().join(", ")
        }
        more => format!("{more} groups"),
    };
    format!("{groups}, {from} to {until}")
}
