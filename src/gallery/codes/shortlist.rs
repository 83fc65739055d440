//! The rows whose estimates are good enough so far.

/// The rows that may be among the best, as far as their estimates tell; the best of them, if they are too many.
pub(super) struct Shortlist {
    at_most: usize,
    rows: Vec<(f32, u32)>,
    /// Rows below this are not wanted.
    least: f32,
    /// The least estimate that was kept when the list was too long and others had to go.
    cut_at: f32,
}

impl Shortlist {
    /// An empty list for at least one row.
    pub(super) fn new(at_most: usize) -> Self {
        Self { at_most: at_most.max(1), rows: Vec::new(), least: f32::NEG_INFINITY, cut_at: f32::NEG_INFINITY }
    }

    /// Estimates below this need not be offered any more.
    #[inline]
    pub(super) fn least(&self) -> f32 {
        self.least
    }

    /// Says that no row of an estimate below `least` can be among the best.
    pub(super) fn raise(&mut self, least: f32) {
        if least > self.least {
            self.least = least;
            self.rows.retain(|(estimate, _)| *estimate >= least);
        }
    }

    /// Takes a row of an estimate that reaches [`Self::least`].
    #[inline]
    pub(super) fn offer(&mut self, row: u32, estimate: f32) {
        self.rows.push((estimate, row));
        if self.rows.len() >= 2 * self.at_most {
            self.select(self.at_most);
            self.rows.truncate(self.at_most);
            self.cut_at = self.rows[self.at_most - 1].0;
            self.least = self.least.max(self.cut_at);
        }
    }

    /// Brings the `count` best to the front, the last of them last.
    fn select(&mut self, count: usize) {
        if (1..=self.rows.len()).contains(&count) {
            self.rows.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0));
        }
    }

    /// The `count` best rows with their estimates, or all if there are fewer, in no order.
    pub(super) fn best(&mut self, count: usize) -> Vec<(f32, u32)> {
        self.select(count);
        self.rows.iter().take(count).copied().collect()
    }

    /// The rows with their estimates, the highest first, and the least of them if the list had been too long.
    pub(super) fn into_rows(mut self) -> (Vec<(f32, u32)>, f32) {
        self.rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        (self.rows, self.cut_at)
    }
}
