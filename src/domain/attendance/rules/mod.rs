//! The rules of attendance, as pure functions: what a sighting is worth ([`Rules::weigh`]), what a person's sightings
//! add up to and what the register says of them ([`judge`](judge::judge)).

pub mod judge;
pub mod meeting;
pub mod sighting;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::meeting::Meeting;
use crate::recognition::liveness::LivenessPolicy;
use error::{Error, Result};

/// The longest stretch of time in a rule, in minutes: a day.
const MAX_MINUTES: u16 = 24 * 60;
/// The most sightings that may be asked for: fewer than a record keeps.
const MAX_CONFIRMING: u16 = 10;
const _: () = assert!((MAX_CONFIRMING as usize) < sighting::MAX_SIGHTINGS);

/// The rules of a group. By default the first sighting that passes naming makes a person present, and sure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Sightings count from so many minutes before a session's start.
    #[schema(maximum = 1440)]
    pub before_minutes: u16,
    /// Sightings count until so many minutes after a session's end.
    #[schema(maximum = 1440)]
    pub after_minutes: u16,
    /// Who is first seen more than so many minutes after the start is late; null: nobody is.
    #[schema(maximum = 1440)]
    pub late_after_minutes: Option<u16>,
    /// Who is last seen more than so many minutes before the end left early, if a photo was taken later; null: nobody
    /// did.
    #[schema(maximum = 1440)]
    pub early_before_minutes: Option<u16>,
    /// The most sessions of a local day in which sightings mark a person; null: all of them.
    #[schema(minimum = 1)]
    pub max_marks_a_day: Option<u16>,
    /// A sighting under this similarity, raw cosine, is to be confirmed; null: what naming asks for is enough.
    #[schema(minimum = 0, maximum = 1)]
    pub min_similarity: Option<f32>,
    /// A sighting with a smaller lead over the next person is to be confirmed; null: what naming asks for is enough.
    #[schema(minimum = 0, maximum = 2)]
    pub min_margin: Option<f32>,
    /// One sighting of this similarity is enough, however many are asked for; null: none is.
    #[schema(minimum = 0, maximum = 1)]
    pub sure_similarity: Option<f32>,
    /// So many sightings make it sure that a person is there; fewer are to be confirmed.
    #[schema(minimum = 1, maximum = 10)]
    pub confirm_sightings: u16,
    /// They must come from so many photos.
    #[schema(minimum = 1, maximum = 10)]
    pub confirm_photos: u16,
    /// How live a face must be to count; a tenant or a request may be stricter.
    pub liveness: LivenessPolicy,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            before_minutes: 15,
            after_minutes: 15,
            late_after_minutes: None,
            early_before_minutes: None,
            max_marks_a_day: None,
            min_similarity: None,
            min_margin: None,
            sure_similarity: None,
            confirm_sightings: 1,
            confirm_photos: 1,
            liveness: LivenessPolicy::Off,
        }
    }
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Window {
    /// Whether a moment lies in it.
    pub fn holds(&self, at: Timestamp) -> bool {
        (self.from..self.until).contains(&at)
    }
}

impl Rules {
    /// Rules that can be so.
    ///
    /// # Errors
    /// `Invalid` `invalid_rules` for a figure out of its range, and for more photos than sightings.
    pub fn checked(self) -> Result<Self> {
        let minutes =
            [Some(self.before_minutes), Some(self.after_minutes), self.late_after_minutes, self.early_before_minutes];
        let cosines = [self.min_similarity, self.sure_similarity];
        let confirming = [self.confirm_sightings, self.confirm_photos];
        let problem = if minutes.into_iter().flatten().any(|minutes| minutes > MAX_MINUTES) {
            "minutes are 0 to 1440"
        } else if cosines.into_iter().flatten().any(|cosine| !(0.0..=1.0).contains(&cosine)) {
            "min_similarity and sure_similarity are 0 to 1"
        } else if self.min_margin.is_some_and(|margin| !(0.0..=2.0).contains(&margin)) {
            "min_margin is 0 to 2"
        } else if self.max_marks_a_day == Some(0) {
            "max_marks_a_day is at least 1, or null"
        } else if confirming.iter().any(|asked| !(1..=MAX_CONFIRMING).contains(asked)) {
            "confirm_sightings and confirm_photos are 1 to 10"
        } else if self.confirm_photos > self.confirm_sightings {
            "confirm_photos is more than confirm_sightings"
        } else {
            return Ok(self);
        };
        Err(Error::invalid(problem).with_code("invalid_rules"))
    }

    /// When sightings count for a session: all day long for one that nobody planned.
    pub fn window(&self, meeting: &Meeting) -> Window {
        let &Meeting { start, end, is_planned, .. } = meeting;
        let (before, after) = if is_planned { (self.before_minutes, self.after_minutes) } else { (0, 0) };
        Window { from: add(start, -i64::from(before)), until: add(end, i64::from(after)) }
    }

    /// Whether sightings may still mark a person who has attended so many other sessions of the group on the day.
    pub fn allows_mark(&self, attended_that_day: usize) -> bool {
        self.max_marks_a_day.is_none_or(|most| attended_that_day < usize::from(most))
    }
}

/// `minutes` later, or the end of time.
fn add(at: Timestamp, minutes: i64) -> Timestamp {
    let edge = if minutes < 0 { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(edge)
}

#[cfg(test)]
mod tests {
    use super::{judge::tests::meeting, sighting::tests::at, *};

    #[test]
    fn rules_that_cannot_be_are_refused() {
        let rules = Rules::default;
        assert_eq!(rules().checked().unwrap(), rules());
        assert_eq!(serde_json::from_str::<Rules>("{}").unwrap(), rules());
        assert!(serde_json::from_str::<Rules>(r#"{"late_after":5}"#).is_err());
        let edge = Rules { before_minutes: 1440, min_margin: Some(2.0), sure_similarity: Some(1.0), ..rules() };
        assert!(edge.checked().is_ok());
        let bad = [
            Rules { before_minutes: 1441, ..rules() },
            Rules { after_minutes: 1441, ..rules() },
            Rules { late_after_minutes: Some(1441), ..rules() },
            Rules { early_before_minutes: Some(1441), ..rules() },
            Rules { max_marks_a_day: Some(0), ..rules() },
            Rules { min_similarity: Some(1.1), ..rules() },
            Rules { min_similarity: Some(f32::NAN), ..rules() },
            Rules { sure_similarity: Some(-0.1), ..rules() },
            Rules { min_margin: Some(2.1), ..rules() },
            Rules { confirm_sightings: 0, ..rules() },
            Rules { confirm_photos: 0, ..rules() },
            Rules { confirm_sightings: 11, ..rules() },
            Rules { confirm_sightings: 2, confirm_photos: 3, ..rules() },
        ];
        for bad in bad {
            let shown = format!("{bad:?}");
            assert_eq!(bad.checked().unwrap_err().code(), "invalid_rules", "{shown}");
        }
    }

    #[test]
    fn a_window_reaches_before_and_after_and_not_beyond_time() {
        let rules = Rules { before_minutes: 10, after_minutes: 5, ..Rules::default() };
        let planned = meeting();
        let day = Meeting { is_planned: false, ..planned };
        let table = [
            (89, false, false),
            (90, true, false),
            (99, true, false),
            (100, true, true),
            (149, true, true),
            (150, true, false),
            (154, true, false),
            (155, false, false),
        ];
        for (minute, when_planned, all_day) in table {
            assert_eq!(rules.window(&planned).holds(at(minute)), when_planned, "{minute}");
            assert_eq!(rules.window(&day).holds(at(minute)), all_day, "{minute}");
        }
        let forever = rules.window(&Meeting { start: Timestamp::MIN, end: Timestamp::MAX, ..planned });
        assert_eq!((forever.from, forever.until), (Timestamp::MIN, Timestamp::MAX));
    }

    #[test]
    fn marks_of_a_day_end() {
        for (most, attended, allowed) in
            [(None, 99, true), (Some(1), 0, true), (Some(1), 1, false), (Some(2), 1, true), (Some(2), 2, false)]
        {
            let rules = Rules { max_marks_a_day: most, ..Rules::default() };
            assert_eq!(rules.allows_mark(attended), allowed, "{most:?} {attended}");
        }
    }
}
