//! From rows of people to the lines of a table. What it keeps grows with the sessions, never with the people.

use std::{collections::HashMap, sync::Arc};

use super::{
    By, PersonRow, ReportSession,
    lines::{GroupLine, Line, PersonLine, SessionLine},
    tally::{Streaks, Tally},
};

/// A table in the making.
pub struct Table {
    by: By,
    sessions: Arc<[ReportSession]>,
    below: Option<f64>,
    /// Of each session.
    tallies: Vec<Tally>,
    /// Of each group, in the order in which they first meet.
    groups: Vec<GroupTally>,
    /// The place of each session's group.
    group_of: Vec<usize>,
}

#[derive(Default)]
struct GroupTally {
    /// The place of its first session.
    first: usize,
    sessions: u64,
    people: u64,
    tally: Tally,
}

impl Table {
    /// An empty table over `sessions`, which are in the order of their starts. With `below`, 0 to 1, it has only people
    /// who attended less than this of what counts for them.
    pub fn new(by: By, sessions: Arc<[ReportSession]>, below: Option<f64>) -> Self {
        let mut groups: Vec<GroupTally> = Vec::new();
        let mut group_of = Vec::with_capacity(sessions.len());
        let mut places = HashMap::new();
        for (first, session) in sessions.iter().enumerate() {
            let place = *places.entry(&session.group).or_insert_with(|| {
                groups.push(GroupTally { first, ..GroupTally::default() });
                groups.len() - 1
            });
            groups[place].sessions += 1;
            group_of.push(place);
        }
        let tallies = vec![Tally::default(); sessions.len()];
        Self { by, sessions, below, tallies, groups, group_of }
    }

    /// Counts people in; returns their lines where a line is of a person.
    pub fn add(&mut self, rows: Vec<PersonRow>) -> Vec<Line> {
        match self.by {
            By::Person | By::Matrix => rows.into_iter().filter_map(|row| self.person(row)).map(Line::Person).collect(),
            By::Session => {
                for row in &rows {
                    for (tally, cell) in self.tallies.iter_mut().zip(&row.cells) {
                        if let Some(cell) = cell {
                            tally.add(*cell);
                        }
                    }
                }
                Vec::new()
            }
            By::Group => {
                for row in &rows {
                    self.count_in_groups(row);
                }
                Vec::new()
            }
        }
    }

    /// The lines that need all people: of sessions, or of groups.
    pub fn finish(self) -> Vec<Line> {
        let Self { by, sessions, tallies, groups, .. } = self;
        match by {
            By::Person | By::Matrix => Vec::new(),
            By::Session => {
                let line = |(session, tally): (&ReportSession, &Tally)| {
                    Line::Session(SessionLine { session: session.clone(), figures: tally.figures() })
                };
                sessions.iter().zip(&tallies).map(line).collect()
            }
            By::Group => groups.iter().map(|group| Line::Group(group.line(&sessions))).collect(),
        }
    }

    fn person(&self, row: PersonRow) -> Option<PersonLine> {
        let (mut tally, mut streaks) = (Tally::default(), Streaks::default());
        for cell in row.cells.iter().flatten() {
            tally.add(*cell);
            streaks.add(cell.status);
        }
        let is_wanted = self.below.is_none_or(|below| tally.rate().is_some_and(|rate| rate < below));
        let statuses = || row.cells.iter().map(|cell| cell.map(|cell| cell.status)).collect();
        is_wanted.then(|| PersonLine {
            statuses: (self.by == By::Matrix).then(statuses),
            person: row.person,
            name: row.name,
            figures: tally.figures(),
            streaks,
        })
    }

    fn count_in_groups(&mut self, row: &PersonRow) {
        let mut met: Vec<usize> = Vec::new();
        for (&group, cell) in self.group_of.iter().zip(&row.cells) {
            let Some(cell) = cell else { continue };
            self.groups[group].tally.add(*cell);
            met.push(group);
        }
        met.sort_unstable();
        met.dedup();
        for group in met {
            self.groups[group].people += 1;
        }
    }
}

impl GroupTally {
    fn line(&self, sessions: &[ReportSession]) -> GroupLine {
        let first = &sessions[self.first];
        GroupLine {
            group: first.group.clone(),
            group_name: first.group_name.clone(),
            sessions: self.sessions,
            people: self.people,
            figures: self.tally.figures(),
        }
    }
}
