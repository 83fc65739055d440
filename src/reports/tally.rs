//! Counting: how often people were there, and how often in a row.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Cell;
use crate::domain::Status;

/// Counts of cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    present: u64,
    late: u64,
    left_early: u64,
    absent: u64,
    excused: u64,
    undecided: u64,
    late_minutes: u64,
}

/// How often people were there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// The denominator: attended and absent, without what is excused, undecided, a holiday, before somebody came onto
    /// the roster, or covered by other sessions of the day.
    pub counted: u64,
    /// Present, late and left early.
    pub attended: u64,
    /// Attended of counted, 0 to 1, to four decimals; null where nothing counts.
    pub rate: Option<f64>,
    /// From the start to the end.
    pub present: u64,
    /// Not from the start.
    pub late: u64,
    /// Not to the end.
    pub left_early: u64,
    /// Not there.
    pub absent: u64,
    /// Not there, and need not have been.
    pub excused: u64,
    /// Still to be confirmed, or to be declared.
    pub undecided: u64,
    /// By how many minutes they were late, all together.
    pub late_minutes: u64,
}

impl Tally {
    /// Counts a cell.
    pub fn add(&mut self, cell: Cell) {
        let count = match cell.status {
            Status::Present => &mut self.present,
            Status::Late => &mut self.late,
            Status::LeftEarly => &mut self.left_early,
            Status::Absent => &mut self.absent,
            Status::Excused => &mut self.excused,
            Status::Undecided => &mut self.undecided,
            Status::Holiday | Status::NotOnRoster | Status::Covered => return,
        };
        *count += 1;
        self.late_minutes += u64::from(cell.late_minutes);
    }

    /// Attended of counted, 0 to 1; `None` where nothing counts.
    pub fn rate(&self) -> Option<f64> {
        let counted = self.counted();
        (counted > 0).then(|| self.attended() as f64 / counted as f64)
    }

    /// What is shown.
    pub fn figures(&self) -> Figures {
        let Self { present, late, left_early, absent, excused, undecided, late_minutes } = *self;
        let rate = self.rate().map(|rate| (rate * 1e4).round() / 1e4);
        let (counted, attended) = (self.counted(), self.attended());
        Figures { counted, attended, rate, present, late, left_early, absent, excused, undecided, late_minutes }
    }

    fn attended(&self) -> u64 {
        self.present + self.late + self.left_early
    }

    fn counted(&self) -> u64 {
        self.attended() + self.absent
    }
}

/// How often in a row somebody was there, and was not. What does not count neither goes on with a row nor ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Streaks {
    /// The most in a row that they attended.
    pub longest_attended: u32,
    /// The most in a row from which they were absent.
    pub longest_absent: u32,
    /// How many up to the last one they attended.
    pub attended_now: u32,
    /// From how many up to the last one they were absent.
    pub absent_now: u32,
}

impl Streaks {
    /// Goes on with the next session.
    pub fn add(&mut self, status: Status) {
        if status.is_attended() {
            (self.attended_now, self.absent_now) = (self.attended_now + 1, 0);
        } else if status.is_counted() {
            (self.attended_now, self.absent_now) = (0, self.absent_now + 1);
        }
        self.longest_attended = self.longest_attended.max(self.attended_now);
        self.longest_absent = self.longest_absent.max(self.absent_now);
    }
}
