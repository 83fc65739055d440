//! On which weekdays and at which hours people are there.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{lines::SessionLine, tally::Figures};

/// The sessions that start in one hour of one weekday, on the clocks of their groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct HeatCell {
    /// 1 is Monday, 7 is Sunday.
    #[schema(minimum = 1, maximum = 7)]
    pub weekday: i8,
    /// 0 to 23.
    #[schema(minimum = 0, maximum = 23)]
    pub hour: i8,
    /// How many there were.
    pub sessions: u64,
    /// Attended and absent.
    pub counted: u64,
    /// Attended.
    pub attended: u64,
    /// Attended of counted, 0 to 1, to four decimals; null where nothing counts.
    pub rate: Option<f64>,
}

/// The cells in which there are sessions, by weekday and hour.
pub fn heatmap<'l>(sessions: impl IntoIterator<Item = &'l SessionLine>) -> Vec<HeatCell> {
    let mut cells: BTreeMap<(i8, i8), (u64, u64, u64)> = BTreeMap::new();
    for SessionLine { session, figures: Figures { counted, attended, .. } } in sessions {
        let start = session.local_start;
        let cell = cells.entry((start.date().weekday().to_monday_one_offset(), start.hour())).or_default();
        *cell = (cell.0 + 1, cell.1 + counted, cell.2 + attended);
    }
    let cell = |((weekday, hour), (sessions, counted, attended))| {
        let rate = (counted > 0).then(|| (attended as f64 / counted as f64 * 1e4).round() / 1e4);
        HeatCell { weekday, hour, sessions, counted, attended, rate }
    };
    cells.into_iter().map(cell).collect()
}
