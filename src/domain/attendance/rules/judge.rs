//! What a person's sightings in a session add up to, and what the register says.
//!
//! Two questions, two answers: the [`RecordState`] says how it is known, the [`Status`] what counts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Rules, add,
    meeting::Meeting,
    sighting::{Sighting, Weight},
};

/// How it is known whether a person was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// No sighting is worth anything.
    NotSeen,
    /// There are sightings, but too few or too weak ones.
    ToConfirm,
    /// The rules ask for no more.
    Sure,
    /// Somebody said so.
    ByHand,
}

/// What the register says of a person in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing yet: absence has not been declared, or the sightings are to be confirmed.
    Undecided,
    /// They were there.
    Present,
    /// They were there, but not from the start. Who left early as well is late.
    Late,
    /// They were there, but not to the end.
    LeftEarly,
    /// They were not there.
    Absent,
    /// They were not there and need not have been.
    Excused,
    /// Nobody need have been there.
    Holiday,
    /// They did not belong to the group when it started.
    NotOnRoster,
    /// They have as many marks of the day as the rules allow.
    Covered,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Undecided,
        Self::Present,
        Self::Late,
        Self::LeftEarly,
        Self::Absent,
        Self::Excused,
        Self::Holiday,
        Self::NotOnRoster,
        Self::Covered,
    ];

    /// The status as it stands in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Present => "present",
            Self::Late => "late",
            Self::LeftEarly => "left_early",
            Self::Absent => "absent",
            Self::Excused => "excused",
            Self::Holiday => "holiday",
            Self::NotOnRoster => "not_on_roster",
            Self::Covered => "covered",
        }
    }

    /// Whether the person was there, be it late or not to the end.
    pub const fn is_attended(self) -> bool {
        matches!(self, Self::Present | Self::Late | Self::LeftEarly)
    }

    /// Whether it counts in percentages: they were there, or should have been.
    pub const fn is_counted(self) -> bool {
        self.is_attended() || matches!(self, Self::Absent)
    }

    /// Whether it can be set by hand.
    pub const fn is_settable(self) -> bool {
        self.is_counted() || matches!(self, Self::Excused)
    }
}

/// How a session lies to somebody's time on the roster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tenure {
    /// It starts within it, or nobody knows when that was.
    #[default]
    During,
    /// It started before they first joined.
    Before,
    /// It starts after they left.
    After,
}

/// A person of a group, as the rules see them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attendee {
    /// How the session lies to their time on the roster.
    pub tenure: Tenure,
    /// When they came onto the roster, if that was after its start: nobody is late before.
    pub due: Option<Timestamp>,
    /// Whether they need not be there.
    pub is_excused: bool,
    /// How many other sessions of the group they have attended on the local day.
    pub attended_that_day: usize,
    /// What somebody said.
    pub by_hand: Option<ByHand>,
    /// When the first and the last of the faces were seen that somebody said are theirs.
    pub pointed_out: Option<(Timestamp, Timestamp)>,
}

/// What somebody said of a person in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ByHand {
    /// The sightings are theirs; when they were seen says whether they were late or left early.
    Confirmed,
    /// This and nothing else.
    Set(Status),
}

/// The answer of [`judge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it is known.
    pub state: RecordState,
    /// What counts.
    pub status: Status,
    /// When they were first seen.
    pub first_seen: Option<Timestamp>,
    /// When they were last seen.
    pub last_seen: Option<Timestamp>,
    /// How many minutes after the start, begun ones included, for who is late; otherwise 0, and where only a hand says
    /// that they were.
    pub late_minutes: u32,
    /// How many minutes before the end, begun ones included, for who left early, also where they are late; otherwise 0 as
    /// before.
    pub early_minutes: u32,
}

/// What is to be written of a person in a session.
///
/// The hand comes first, then the holiday, then what the rules allow a day, then the sightings: who was excused and came
/// was there. Without sightings an excuse counts at once, absence only when the session declares it, and never of who
/// did not belong to the group when it started.
pub fn judge(rules: &Rules, meeting: &Meeting, attendee: &Attendee, sightings: &[Sighting]) -> Verdict {
    let mut seen = Seen::of(rules, meeting, sightings, attendee.by_hand == Some(ByHand::Confirmed));
    for at in attendee.pointed_out.into_iter().flat_map(|(first, last)| [first, last]) {
        seen.note_time(at);
    }
    let times = Times::of(rules, meeting, attendee, &seen);
    let state = if attendee.by_hand.is_some() { RecordState::ByHand } else { seen.state(rules) };
    let status = match (attendee.by_hand, state) {
        (Some(ByHand::Set(status)), _) => status,
        (Some(ByHand::Confirmed), _) => times.status(),
        _ if meeting.is_holiday => Status::Holiday,
        _ if !rules.allows_mark(attendee.attended_that_day) => Status::Covered,
        (None, RecordState::Sure) => times.status(),
        (None, RecordState::ToConfirm) => Status::Undecided,
        _ if attendee.is_excused => Status::Excused,
        _ if attendee.tenure != Tenure::During => Status::NotOnRoster,
        _ if meeting.declares_absence => Status::Absent,
        _ => Status::Undecided,
    };
    let (late_minutes, early_minutes) = match status {
        Status::Late => (times.late_minutes, times.early_minutes),
        Status::LeftEarly => (0, times.early_minutes),
        _ => (0, 0),
    };
    Verdict { state, status, first_seen: seen.first, last_seen: seen.last, late_minutes, early_minutes }
}

/// The sightings that are worth something. Weak ones make nothing sure, but say when somebody was there. Doubted ones do
/// where they are confirmed, and where there are no others.
#[derive(Default)]
struct Seen {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    full: usize,
    photos: usize,
    is_strong: bool,
}

impl Seen {
    fn of(rules: &Rules, meeting: &Meeting, sightings: &[Sighting], is_confirmed: bool) -> Self {
        let window = rules.window(meeting);
        let mut seen = Self::default();
        let (mut photos, mut doubted) = (BTreeSet::new(), Vec::new());
        for sighting in sightings {
            let weight = rules.weigh(&window, sighting);
            match weight {
                Weight::Nothing(_) => continue,
                Weight::Doubted => {
                    doubted.push(sighting.at);
                    continue;
                }
                Weight::Weak | Weight::Full | Weight::Strong => seen.note_time(sighting.at),
            }
            if weight >= Weight::Full {
                seen.full += 1;
                photos.insert(sighting.photo);
            }
            seen.is_strong |= weight == Weight::Strong;
        }
        seen.photos = photos.len();
        if is_confirmed || seen.first.is_none() {
            for at in doubted {
                seen.note_time(at);
            }
        }
        seen
    }

    fn note_time(&mut self, at: Timestamp) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(Some(at));
    }

    fn state(&self, rules: &Rules) -> RecordState {
        let enough =
            self.full >= usize::from(rules.confirm_sightings) && self.photos >= usize::from(rules.confirm_photos);
        match self.first {
            None => RecordState::NotSeen,
            Some(_) if enough || self.is_strong => RecordState::Sure,
            Some(_) => RecordState::ToConfirm,
        }
    }
}

/// By how much somebody was late, and left early; 0 if they did not.
struct Times {
    late_minutes: u32,
    early_minutes: u32,
}

impl Times {
    fn of(rules: &Rules, meeting: &Meeting, attendee: &Attendee, seen: &Seen) -> Self {
        if !meeting.is_planned {
            return Self { late_minutes: 0, early_minutes: 0 };
        }
        // Nobody is late for what they could not know of.
        let due = attendee.due.map_or(meeting.start, |due| due.max(meeting.start));
        let late = rules.late_after_minutes.zip(seen.first);
        let late = late.filter(|&(allowed, first)| first > add(due, i64::from(allowed)));
        let early = rules.early_before_minutes.zip(seen.last);
        let early = early.filter(|&(allowed, last)| {
            // Without a later photo nobody knows who was still there.
            let until = add(meeting.end, -i64::from(allowed));
            last < until && meeting.last_photo.is_some_and(|photo| photo >= until)
        });
        Self {
            late_minutes: late.map_or(0, |(_, first)| minutes(due, first)),
            early_minutes: early.map_or(0, |(_, last)| minutes(last, meeting.end)),
        }
    }

    fn status(&self) -> Status {
        match (self.late_minutes, self.early_minutes) {
            (0, 0) => Status::Present,
            (0, _) => Status::LeftEarly,
            _ => Status::Late,
        }
    }
}

/// The minutes between two moments, begun ones included.
fn minutes(from: Timestamp, until: Timestamp) -> u32 {
    let seconds = until.duration_since(from).as_secs_f64();
    (seconds / 60.0).ceil() as u32
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attendance::rules::sighting::{
        TimeTrust,
        tests::{at, sighting},
    };

    /// From minute 100 to 150, with a photo at its end.
    pub(crate) fn meeting() -> Meeting {
        Meeting {
            start: at(100),
            end: at(150),
            is_planned: true,
            last_photo: Some(at(150)),
            is_holiday: false,
            declares_absence: false,
        }
    }

    fn status(rules: &Rules, meeting: &Meeting, attendee: &Attendee, seen: &[i64]) -> (RecordState, Status) {
        let sightings: Vec<Sighting> = seen.iter().map(|&minute| sighting(minute, 0.6)).collect();
        let Verdict { state, status, .. } = judge(rules, meeting, attendee, &sightings);
        (state, status)
    }

    #[test]
    fn a_doubted_time_says_nothing_beside_others_until_it_is_confirmed() {
        let rules = Rules { late_after_minutes: Some(5), early_before_minutes: Some(5), ..Rules::default() };
        let doubted = |minute| Sighting { time: TimeTrust::Doubted, ..sighting(minute, 0.6) };
        let times = |by_hand, sightings: &[Sighting]| {
            let attendee = Attendee { by_hand, ..Attendee::default() };
            let Verdict { state, status, first_seen, last_seen, .. } = judge(&rules, &meeting(), &attendee, sightings);
            (state, status, first_seen, last_seen)
        };
        let all = [doubted(100), sighting(120, 0.6), sighting(130, 0.6), doubted(149)];
        let late = times(None, &all[1..3]);
        assert_eq!((late.1, late.2, late.3), (Status::Late, Some(at(120)), Some(at(130))));
        assert_eq!(times(None, &all), late, "neither earlier nor later");
        let confirmed = times(Some(ByHand::Confirmed), &all);
        assert_eq!((confirmed.1, confirmed.2, confirmed.3), (Status::Present, Some(at(100)), Some(at(149))));
        let alone = times(None, &all[..1]);
        assert_eq!((alone.0, alone.1, alone.2), (RecordState::ToConfirm, Status::Undecided, Some(at(100))));
    }

    #[test]
    fn without_rules_the_first_sighting_is_enough_and_absence_waits_for_the_end() {
        use RecordState::{NotSeen, Sure};
        let (rules, nobody, open) = (Rules::default(), Attendee::default(), meeting());
        let closed = Meeting { declares_absence: true, ..open };
        assert_eq!(status(&rules, &open, &nobody, &[]), (NotSeen, Status::Undecided));
        assert_eq!(status(&rules, &closed, &nobody, &[]), (NotSeen, Status::Absent));
        for minute in [85, 100, 149, 164] {
            assert_eq!(status(&rules, &open, &nobody, &[minute]), (Sure, Status::Present), "{minute}");
            assert_eq!(status(&rules, &closed, &nobody, &[minute]), (Sure, Status::Present), "{minute}");
        }
        assert_eq!(status(&rules, &closed, &nobody, &[20, 200]), (NotSeen, Status::Absent));
    }

    /// When somebody was seen, and what they are then: the status, the minutes late and early.
    type Timing<'a> = (Meeting, Attendee, &'a [i64], Status, u32, u32);

    #[test]
    fn late_and_early_by_the_first_and_last_sighting() {
        use Status::{Late, LeftEarly, Present};
        let rules = Rules { late_after_minutes: Some(10), early_before_minutes: Some(10), ..Rules::default() };
        let usual = meeting();
        let photos_until = |minute| Meeting { last_photo: Some(at(minute)), ..usual };
        let day = Meeting { is_planned: false, ..usual };
        let (nobody, joined) = (Attendee::default(), Attendee { due: Some(at(110)), ..Attendee::default() });
        let table: [Timing<'_>; 12] = [
            (usual, nobody, &[100, 150], Present, 0, 0),
            (usual, nobody, &[110, 140], Present, 0, 0),
            (usual, nobody, &[111, 140], Late, 11, 0),
            (usual, nobody, &[150, 111], Late, 11, 0),
            (usual, nobody, &[110, 139], LeftEarly, 0, 11),
            (usual, nobody, &[120], Late, 20, 30),
            (photos_until(139), nobody, &[100, 120], Present, 0, 0),
            (photos_until(140), nobody, &[100, 120], LeftEarly, 0, 30),
            (Meeting { last_photo: None, ..usual }, nobody, &[100], Present, 0, 0),
            (usual, joined, &[120, 150], Present, 0, 0),
            (usual, joined, &[121, 150], Late, 11, 0),
            (day, nobody, &[120], Present, 0, 0),
        ];
        for (meeting, attendee, seen, expected, late, early) in table {
            let sightings: Vec<Sighting> = seen.iter().map(|&minute| sighting(minute, 0.6)).collect();
            let verdict = judge(&rules, &meeting, &attendee, &sightings);
            let answer = (verdict.status, verdict.late_minutes, verdict.early_minutes);
            assert_eq!(answer, (expected, late, early), "{meeting:?} {attendee:?} {seen:?}");
            assert_eq!(verdict.first_seen, seen.iter().copied().min().map(at));
            assert_eq!(verdict.last_seen, seen.iter().copied().max().map(at));
            let without = judge(&Rules::default(), &meeting, &attendee, &sightings);
            assert_eq!((without.status, without.late_minutes, without.early_minutes), (Present, 0, 0), "{seen:?}");
        }
        let half = Sighting { at: "1970-01-01T01:50:01Z".parse().unwrap(), ..sighting(0, 0.6) };
        assert_eq!(judge(&rules, &usual, &nobody, &[half, sighting(150, 0.6)]).late_minutes, 11, "begun minutes count");
    }

    #[test]
    fn so_many_sightings_over_so_many_photos_or_one_strong_one() {
        use RecordState::{NotSeen, Sure, ToConfirm};
        let rules = |sightings, photos| Rules {
            confirm_sightings: sightings,
            confirm_photos: photos,
            min_similarity: Some(0.5),
            ..Rules::default()
        };
        let strong = Rules { sure_similarity: Some(0.8), ..rules(2, 2) };
        let good = sighting(100, 0.6);
        let again = Sighting { at: at(101), face: 1, ..good.clone() };
        let other = sighting(102, 0.7);
        let weak = sighting(103, 0.4);
        let early = sighting(10, 0.9);
        let table: [(Rules, &[&Sighting], RecordState); 11] = [
            (rules(1, 1), &[], NotSeen),
            (rules(1, 1), &[&early], NotSeen),
            (rules(1, 1), &[&good], Sure),
            (rules(1, 1), &[&weak], ToConfirm),
            (rules(2, 1), &[&good, &weak], ToConfirm),
            (rules(2, 1), &[&good, &again], Sure),
            (rules(2, 2), &[&good, &again], ToConfirm),
            (rules(2, 2), &[&good, &other], Sure),
            (rules(3, 2), &[&good, &other, &early], ToConfirm),
            (rules(3, 2), &[&good, &again, &other], Sure),
            (strong.clone(), &[&sighting(100, 0.8)], Sure),
        ];
        for (rules, sightings, expected) in table {
            let sightings: Vec<Sighting> = sightings.iter().map(|&sighting| sighting.clone()).collect();
            let closed = Meeting { declares_absence: true, ..meeting() };
            let Verdict { state, status, .. } = judge(&rules, &closed, &Attendee::default(), &sightings);
            let counts = match expected {
                Sure => Status::Present,
                ToConfirm => Status::Undecided,
                NotSeen | RecordState::ByHand => Status::Absent,
            };
            assert_eq!((state, status), (expected, counts), "{rules:?} {sightings:?}");
        }
        let refuted = Sighting { refuted: true, ..good };
        assert_eq!(judge(&rules(1, 1), &meeting(), &Attendee::default(), &[refuted]).state, NotSeen);
    }

    #[test]
    fn who_need_not_come_is_not_absent() {
        use Status::{Absent, Covered, Excused, Holiday, NotOnRoster, Present, Undecided};
        let rules = Rules { max_marks_a_day: Some(2), ..Rules::default() };
        let (open, nobody) = (meeting(), Attendee::default());
        let closed = Meeting { declares_absence: true, ..open };
        let holiday = Meeting { is_holiday: true, ..closed };
        let excused = Attendee { is_excused: true, ..nobody };
        let [later, left] = [Tenure::Before, Tenure::After].map(|tenure| Attendee { tenure, ..nobody });
        let attended = |sessions| Attendee { attended_that_day: sessions, ..nobody };
        let table = [
            (open, excused, Excused, Present),
            (closed, excused, Excused, Present),
            (open, later, NotOnRoster, Present),
            (closed, later, NotOnRoster, Present),
            (closed, left, NotOnRoster, Present),
            (holiday, nobody, Holiday, Holiday),
            (closed, attended(1), Absent, Present),
            (closed, attended(2), Covered, Covered),
            (open, attended(2), Covered, Covered),
            (open, attended(1), Undecided, Present),
        ];
        for (meeting, attendee, unseen, seen) in table {
            assert_eq!(status(&rules, &meeting, &attendee, &[]).1, unseen, "{meeting:?} {attendee:?}");
            assert_eq!(status(&rules, &meeting, &attendee, &[130]).1, seen, "{meeting:?} {attendee:?}");
        }
    }

    #[test]
    fn the_hand_has_the_last_word() {
        use Status::{Absent, Excused, Late, LeftEarly, Present};
        let rules = Rules { late_after_minutes: Some(10), min_similarity: Some(0.9), ..Rules::default() };
        let closed = Meeting { declares_absence: true, is_holiday: true, ..meeting() };
        let table = [
            (ByHand::Confirmed, 100, Present, 0, 0),
            (ByHand::Confirmed, 115, Late, 15, 0),
            (ByHand::Set(Present), 115, Present, 0, 0),
            (ByHand::Set(Absent), 115, Absent, 0, 0),
            (ByHand::Set(Excused), 115, Excused, 0, 0),
            (ByHand::Set(Late), 115, Late, 15, 0),
            (ByHand::Set(Late), 100, Late, 0, 0),
            (ByHand::Set(LeftEarly), 100, LeftEarly, 0, 0),
        ];
        for (by_hand, seen, status, late, early) in table {
            let attendee = Attendee { by_hand: Some(by_hand), ..Attendee::default() };
            let verdict = judge(&rules, &closed, &attendee, &[sighting(seen, 0.6)]);
            assert_eq!((verdict.state, verdict.status), (RecordState::ByHand, status), "{by_hand:?} {seen}");
            assert_eq!((verdict.late_minutes, verdict.early_minutes), (late, early), "{by_hand:?} {seen}");
        }
    }

    #[test]
    fn what_counts_in_percentages() {
        use Status::{Absent, Covered, Excused, Holiday, Late, LeftEarly, NotOnRoster, Present, Undecided};
        for status in [Present, Late, LeftEarly] {
            assert!(status.is_attended() && status.is_counted() && status.is_settable(), "{status:?}");
        }
        assert!(!Absent.is_attended() && Absent.is_counted() && Absent.is_settable());
        assert!(!Excused.is_attended() && !Excused.is_counted() && Excused.is_settable());
        for status in [Undecided, Holiday, NotOnRoster, Covered] {
            assert!(!status.is_counted() && !status.is_settable(), "{status:?}");
        }
    }
}
