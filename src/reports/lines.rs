//! The lines of the tables: as JSON they are objects, elsewhere cells under the names of [`columns`].

use std::borrow::Cow;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    By, ReportSession,
    tally::{Figures, Streaks},
};
use crate::domain::{GroupId, PersonId, Status};

/// A person, over all sessions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PersonLine {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// How often they were there.
    #[serde(flatten)]
    pub figures: Figures,
    /// How often in a row.
    #[serde(flatten)]
    pub streaks: Streaks,
    /// What the register says in each of `sessions`, null where it says nothing; only in a matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<Option<Status>>>,
}

/// A session, over all people.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SessionLine {
    /// Which.
    #[serde(flatten)]
    pub session: ReportSession,
    /// How many were there.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A group, over all its sessions and people.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GroupLine {
    /// Which.
    pub group: GroupId,
    /// Its name.
    pub group_name: String,
    /// How many sessions it had.
    pub sessions: u64,
    /// How many people have a record in one of them.
    pub people: u64,
    /// How often they were there.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the lines themselves are documented")]
pub enum Line {
    Person(PersonLine),
    Session(SessionLine),
    Group(GroupLine),
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nothing,
    /// A text that somebody may have written who means ill; see [`is_formula`].
    Text(Cow<'a, str>),
    /// How many.
    Count(u64),
    /// Which share, 0 to 1.
    Share(f64),
    /// A raw cosine.
    Similarity(f32),
    /// A date.
    Day(Date),
    /// A date and a time on the clocks of a group.
    Moment(DateTime),
}

/// The name of a column, for programs; and its heading, for people.
type Column = (&'static str, &'static str);

const FIGURES: [Column; 10] = [
    ("counted", "Counted"),
    ("attended", "Attended"),
    ("rate", "Attendance"),
    ("present", "Present"),
    ("late", "Late"),
    ("left_early", "Left early"),
    ("absent", "Absent"),
    ("excused", "Excused"),
    ("undecided", "Undecided"),
    ("late_minutes", "Minutes late"),
];
const STREAKS: [Column; 4] = [
    ("longest_attended", "Most attended in a row"),
    ("longest_absent", "Most missed in a row"),
    ("attended_now", "Attended in a row now"),
    ("absent_now", "Missed in a row now"),
];

/// How many columns from the left say of what a line is.
pub fn id_columns(by: By) -> usize {
    match by {
        By::Person | By::Matrix | By::Group => 2,
        By::Session => 6,
    }
}

/// The names of the columns; in a matrix those of the sessions follow.
pub fn columns(by: By) -> Vec<&'static str> {
    table(by).into_iter().map(|(name, _)| name).collect()
}

/// The same in words.
pub fn headings(by: By) -> Vec<&'static str> {
    table(by).into_iter().map(|(_, heading)| heading).collect()
}

fn table(by: By) -> Vec<Column> {
    let (ids, more): (&[Column], &[Column]) = match by {
        By::Person | By::Matrix => (&[("person", "Id"), ("name", "Name")], &STREAKS),
        By::Session => (
            &[
                ("session", "Session"),
                ("group", "Group id"),
                ("group_name", "Group"),
                ("title", "Title"),
                ("date", "Date"),
                ("local_start", "Start"),
            ],
            &[],
        ),
        By::Group => {
            (&[("group", "Group id"), ("group_name", "Group"), ("sessions", "Sessions"), ("people", "People")], &[])
        }
    };
    [ids, &FIGURES, more].concat()
}

impl Line {
    /// Its cells, one for each of [`columns`].
    pub fn cells(&self) -> Vec<Value<'_>> {
        match self {
            Self::Person(line) => {
                let Streaks { longest_attended, longest_absent, attended_now, absent_now } = line.streaks;
                let streaks = [longest_attended, longest_absent, attended_now, absent_now];
                let ids = [text(line.person.as_str()), maybe(line.name.as_deref())];
                ids.into_iter().chain(figures(&line.figures)).chain(streaks.map(|n| Value::Count(n.into()))).collect()
            }
            Self::Session(SessionLine { session, figures: shown }) => {
                let ids = [
                    Value::Text(session.session.to_string().into()),
                    text(session.group.as_str()),
                    text(&session.group_name),
                    maybe(session.title.as_deref()),
                    Value::Day(session.date),
                    Value::Moment(session.local_start),
                ];
                ids.into_iter().chain(figures(shown)).collect()
            }
            Self::Group(line) => {
                let ids = [
                    text(line.group.as_str()),
                    text(&line.group_name),
                    Value::Count(line.sessions),
                    Value::Count(line.people),
                ];
                ids.into_iter().chain(figures(&line.figures)).collect()
            }
        }
    }

    /// What the register says in each session; empty but in a matrix.
    pub fn statuses(&self) -> &[Option<Status>] {
        match self {
            Self::Person(PersonLine { statuses: Some(statuses), .. }) => statuses,
            _ => &[],
        }
    }
}

/// Whether a spreadsheet could take a text for a formula. The one judge of that.
pub fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn maybe(given: Option<&str>) -> Value<'_> {
    given.map_or(Value::Nothing, text)
}

fn figures(shown: &Figures) -> [Value<'static>; FIGURES.len()] {
    let Figures { counted, attended, rate, present, late, left_early, absent, excused, undecided, late_minutes } =
        *shown;
    [
        Value::Count(counted),
        Value::Count(attended),
        rate.map_or(Value::Nothing, Value::Share),
        Value::Count(present),
        Value::Count(late),
        Value::Count(left_early),
        Value::Count(absent),
        Value::Count(excused),
        Value::Count(undecided),
        Value::Count(late_minutes),
    ]
}
