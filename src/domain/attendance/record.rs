//! Attendance records: evidence, what the rules make of it, and what somebody said.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    rules::{
        Rules,
        judge::{Attendee, ByHand, RecordState, Status, Tenure, Verdict, judge},
        meeting::Meeting,
        sighting::{Sighting, Weight, keep},
    },
    session::MAX_NOTE_CHARS,
    stranger::Glimpse,
};
use crate::ids::{GroupSessionId, PersonId, Pseudonym, RecordId};
use crate::people::words::composed;
use error::{Error, ErrorKind, Result};

/// The most corrections that a record keeps; those before them cannot be undone any more.
const MAX_CORRECTIONS: usize = 20;

/// One person in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttendanceRecord {
    /// By which it can be taken back; none for who was never seen nor corrected, but declared absent.
    pub id: Option<RecordId>,
    /// In which session.
    pub session: GroupSessionId,
    /// Who.
    pub person: PersonId,
    /// What counts, by the rules when it was last judged.
    pub verdict: Verdict,
    /// The evidence, in the order of its times.
    pub sightings: Vec<Sighting>,
    /// What somebody said, oldest first; the last one holds.
    pub corrections: Vec<Correction>,
    /// What the person has to say to it.
    pub appeal: Option<Appeal>,
}

/// What somebody said of a person in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// What.
    pub said: Said,
    /// Why, 1–500 characters.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The faces by which they say so, for which nobody had been named.
    pub faces: Vec<Glimpse>,
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It is them.
    Confirmed,
    /// The faces until then are not theirs.
    Rejected,
    /// This counts.
    Set(Status),
}

/// A person's objection to what counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Appeal {
    /// What they say, 1–500 characters.
    pub note: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What became of it.
    pub state: AppealState,
}

/// What became of an appeal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppealState {
    /// Nobody has answered.
    Open,
    /// They are right; the correction is a step of its own.
    Accepted,
    /// It stays as it is.
    Refused,
}

/// Checks a reason or a note, and returns it trimmed and [composed]. Errors: `Invalid` `invalid_reason`.
pub fn checked_note(text: &str) -> Result<String> {
    let note = composed(text.trim());
    if note.is_empty() || note.chars().count() > MAX_NOTE_CHARS {
        return Err(Error::invalid("a reason is 1 to 500 characters").with_code("invalid_reason"));
    }
    Ok(note.into_owned())
}

/// What a record is judged by, besides what it holds.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The group's rules.
    pub rules: &'a Rules,
    /// The session.
    pub meeting: Meeting,
    /// How it lies to the person's time on the roster.
    pub tenure: Tenure,
    /// When the person came onto the roster, if that was after its start.
    pub due: Option<Timestamp>,
    /// How many other sessions of the group they have attended on the local day.
    pub attended_that_day: usize,
}

impl AttendanceRecord {
    /// Of somebody of whom nothing is known yet.
    pub fn new(session: GroupSessionId, person: PersonId, case: &Case<'_>) -> Self {
        let verdict = case.verdict(None, None, &[]);
        Self { id: None, session, person, verdict, sightings: Vec::new(), corrections: Vec::new(), appeal: None }
    }

    /// Judges it anew.
    pub fn judge(&mut self, case: &Case<'_>) {
        let by_hand = self.corrections.last().and_then(|correction| match correction.said {
            Said::Confirmed => Some(ByHand::Confirmed),
            Said::Set(status) => Some(ByHand::Set(status)),
            Said::Rejected => None,
        });
        self.verdict = case.verdict(by_hand, self.pointed_out(), &self.sightings);
    }

    /// When the first and the last were taken of the faces that somebody said are theirs, and nobody since that they are
    /// not.
    fn pointed_out(&self) -> Option<(Timestamp, Timestamp)> {
        let holding = self.corrections.iter().rev().take_while(|correction| correction.said != Said::Rejected);
        let times = holding.flat_map(|correction| &correction.faces).map(|face| face.at);
        times.clone().min().zip(times.max())
    }

    /// Takes a sighting as evidence. What is worth nothing is not kept.
    pub fn add(&mut self, sighting: Sighting, case: &Case<'_>) -> Mark {
        if matches!(case.rules.weigh(&case.rules.window(&case.meeting), &sighting), Weight::Nothing(_)) {
            return Mark::NotMarked;
        }
        let was = self.verdict.status.is_attended();
        keep(&mut self.sightings, sighting);
        self.id.get_or_insert_with(RecordId::generate);
        self.judge(case);
        match (self.verdict.status.is_attended(), self.verdict.state) {
            (true, _) if was => Mark::AlreadyMarked,
            (true, _) => Mark::Marked,
            (false, RecordState::ToConfirm) => Mark::ToConfirm,
            (false, _) => Mark::NotMarked,
        }
    }

    /// Takes somebody's word.
    pub fn correct(&mut self, correction: Correction, case: &Case<'_>) {
        if correction.said == Said::Rejected {
            self.sightings.iter_mut().for_each(|sighting| sighting.refuted = true);
        }
        self.corrections.push(correction);
        let surplus = self.corrections.len().saturating_sub(MAX_CORRECTIONS);
        self.corrections.drain(..surplus);
        self.id.get_or_insert_with(RecordId::generate);
        self.judge(case);
    }

    /// Takes the last word back, and returns it. Errors: `Conflict` `nothing_to_undo`.
    pub fn undo_correction(&mut self, case: &Case<'_>) -> Result<Correction> {
        let undone = self.corrections.pop().ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "nobody has corrected this record").with_code("nothing_to_undo")
        })?;
        let is_rejected = self.corrections.iter().any(|earlier| earlier.said == Said::Rejected);
        if undone.said == Said::Rejected && !is_rejected {
            self.sightings.iter_mut().for_each(|sighting| sighting.refuted = false);
        }
        self.judge(case);
        Ok(undone)
    }

    /// Adds what another record of the same person in the same session knows: its evidence, and the words and the appeal that
    /// this one lacks. Who was there by this one stays so.
    pub fn absorb(&mut self, other: Self, case: &Case<'_>) {
        let was = self.verdict;
        for sighting in other.sightings {
            keep(&mut self.sightings, sighting);
        }
        // A word that denies what this record shows was said of a part of it.
        if self.corrections.is_empty() && (other.verdict.status.is_attended() || !was.status.is_attended()) {
            self.corrections = other.corrections;
        }
        self.appeal = self.appeal.take().or(other.appeal);
        self.id = self.id.or(other.id);
        self.judge(case);
        if was.status.is_attended() && !self.verdict.status.is_attended() {
            self.verdict = was;
        }
    }

    /// Rivals who turned out to be the person are none any more. Returns whether there were some.
    pub fn forget_rivals(&mut self, rivals: &[Pseudonym]) -> bool {
        let is_one = |sighting: &&mut Sighting| sighting.runner_up.is_some_and(|next| rivals.contains(&next.who));
        let mut any = false;
        for sighting in self.sightings.iter_mut().filter(is_one) {
            (sighting.runner_up, sighting.margin, any) = (None, None, true);
        }
        any
    }

    /// Whether anything but the lack of sightings is known.
    pub fn says_something(&self) -> bool {
        !(self.sightings.is_empty() && self.corrections.is_empty() && self.appeal.is_none())
    }

    /// The sighting that speaks most for it, of those that nobody has refuted.
    pub fn best_sighting(&self) -> Option<&Sighting> {
        // Of equals the first.
        let sightings = self.sightings.iter().rev().filter(|sighting| !sighting.refuted);
        sightings.max_by(|a, b| a.similarity.total_cmp(&b.similarity))
    }
}

impl Case<'_> {
    fn verdict(
        &self,
        by_hand: Option<ByHand>,
        pointed_out: Option<(Timestamp, Timestamp)>,
        sightings: &[Sighting],
    ) -> Verdict {
        let attendee = Attendee {
            tenure: self.tenure,
            due: self.due,
            is_excused: false,
            attended_that_day: self.attended_that_day,
            by_hand,
            pointed_out,
        };
        judge(self.rules, &self.meeting, &attendee, sightings)
    }
}

/// What became of a recognised face; the later, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Nothing: nobody was named, marking was not asked for, or the liveness policy forbids it.
    NotMarked,
    /// It is kept as evidence, and too little yet to make them present.
    ToConfirm,
    /// They were present already.
    AlreadyMarked,
    /// They are present by it.
    Marked,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(second: i64, similarity: f32) -> Sighting {
        Sighting {
            photo: crate::PhotoId::generate(),
            face: 0,
            at: Timestamp::from_second(second).unwrap(),
            similarity,
            margin: None,
            runner_up: None,
            width_px: 60.0,
            liveness: None,
            model: crate::ModelId { name: "m".into(), dimension: 4, postprocessing: 1 },
            refuted: false,
            time: crate::TimeTrust::Trusted,
        }
    }

    #[test]
    fn faces_pointed_out_say_when_somebody_was_there_as_long_as_it_holds() {
        let rules = Rules { late_after_minutes: Some(10), ..Rules::default() };
        let meeting = Meeting {
            start: Timestamp::from_second(0).unwrap(),
            end: Timestamp::from_second(3600).unwrap(),
            is_planned: true,
            last_photo: None,
            is_holiday: false,
            declares_absence: false,
        };
        let case = Case { rules: &rules, meeting, tenure: Tenure::During, due: None, attended_that_day: 0 };
        let mut record = AttendanceRecord::new(GroupSessionId::generate(), "p".parse().unwrap(), &case);
        let glimpse = |second| Glimpse {
            photo: crate::PhotoId::generate(),
            face: 0,
            at: Timestamp::from_second(second).unwrap(),
            normalized: crate::FaceBox { x1: 0.0, y1: 0.0, x2: 0.1, y2: 0.1 },
            width_px: 60.0,
            liveness: None,
        };
        let say = |said, faces| Correction { said, reason: None, at: Timestamp::UNIX_EPOCH, faces };
        let seen = |record: &AttendanceRecord| {
            let Verdict { state, status, first_seen, last_seen, .. } = record.verdict;
            (state, status, first_seen.map(Timestamp::as_second), last_seen.map(Timestamp::as_second))
        };
        record.correct(say(Said::Confirmed, vec![glimpse(900), glimpse(1200)]), &case);
        let late = (RecordState::ByHand, Status::Late, Some(900), Some(1200));
        assert_eq!(seen(&record), late);
        record.correct(say(Said::Confirmed, Vec::new()), &case);
        assert_eq!(seen(&record), late, "who says it again knows no other time");
        record.correct(say(Said::Confirmed, vec![glimpse(60)]), &case);
        assert_eq!(seen(&record), (RecordState::ByHand, Status::Present, Some(60), Some(1200)));
        record.correct(say(Said::Rejected, Vec::new()), &case);
        assert_eq!(seen(&record), (RecordState::NotSeen, Status::Undecided, None, None));
        for _ in 0..3 {
            record.undo_correction(&case).unwrap();
        }
        assert_eq!(seen(&record), late);
        record.undo_correction(&case).unwrap();
        assert_eq!(
            seen(&record),
            (RecordState::NotSeen, Status::Undecided, None, None),
            "they are no evidence of their own"
        );
    }

    #[test]
    fn a_record_goes_from_evidence_to_word_and_back() {
        use Status::{Absent, Present, Undecided};
        let rules = Rules { confirm_sightings: 2, ..Rules::default() };
        let meeting = Meeting {
            start: Timestamp::from_second(1000).unwrap(),
            end: Timestamp::from_second(4000).unwrap(),
            is_planned: true,
            last_photo: None,
            is_holiday: false,
            declares_absence: false,
        };
        let case = Case { rules: &rules, meeting, tenure: Tenure::During, due: None, attended_that_day: 0 };
        let mut record = AttendanceRecord::new(GroupSessionId::generate(), "p".parse().unwrap(), &case);
        assert_eq!((record.id, record.verdict.status, record.says_something()), (None, Undecided, false));
        assert_eq!(record.add(sighting(9000, 0.9), &case), Mark::NotMarked, "much later");
        assert_eq!(record.add(sighting(1000, 0.6), &case), Mark::ToConfirm);
        assert_eq!(record.add(sighting(1001, 0.6), &case), Mark::Marked);
        assert_eq!(record.add(sighting(1002, 0.5), &case), Mark::AlreadyMarked);
        assert_eq!(record.best_sighting().unwrap().at.as_second(), 1000, "of equals the first");
        let seen = record.clone();
        let say = |said| Correction { said, reason: None, at: Timestamp::UNIX_EPOCH, faces: Vec::new() };
        record.correct(say(Said::Rejected), &case);
        assert_eq!((record.verdict.state, record.verdict.status), (RecordState::NotSeen, Undecided));
        assert_eq!(record.best_sighting(), None, "they are not theirs");
        record.correct(say(Said::Set(Absent)), &case);
        assert_eq!((record.verdict.state, record.verdict.status), (RecordState::ByHand, Absent));
        assert_eq!(record.add(sighting(1003, 0.6), &case), Mark::NotMarked, "the hand comes first");
        record.undo_correction(&case).unwrap();
        assert_eq!(record.verdict.state, RecordState::ToConfirm, "of the face after the rejection");
        record.undo_correction(&case).unwrap();
        assert_eq!((record.verdict.status, record.sightings.len()), (Present, 4));
        assert_eq!(record.sightings[..3], seen.sightings);
        assert_eq!(record.undo_correction(&case).unwrap_err().code(), "nothing_to_undo");
        for _ in 0..30 {
            record.correct(say(Said::Confirmed), &case);
        }
        assert_eq!(record.corrections.len(), MAX_CORRECTIONS);
    }

    #[test]
    fn of_two_records_the_evidence_of_both_is_kept_and_nobody_who_was_there_was_not() {
        let rules = Rules { confirm_sightings: 2, ..Rules::default() };
        let meeting = crate::attendance::rules::judge::tests::meeting();
        let case = Case { rules: &rules, meeting, tenure: Tenure::During, due: None, attended_that_day: 0 };
        let session = GroupSessionId::generate();
        let record = |seen: &[i64], said: &[Said]| {
            let mut record = AttendanceRecord::new(session, "p".parse().unwrap(), &case);
            for &minute in seen {
                record.add(crate::attendance::rules::sighting::tests::sighting(minute, 0.6), &case);
            }
            for &said in said {
                let at = Timestamp::UNIX_EPOCH;
                record.correct(Correction { said, reason: None, at, faces: Vec::new() }, &case);
            }
            record
        };
        let excused = Said::Set(Status::Excused);
        let table = [
            (record(&[110], &[]), record(&[120], &[]), Status::Present, 2),
            (record(&[110, 111], &[]), record(&[], &[excused]), Status::Present, 2),
            (record(&[110], &[]), record(&[], &[excused]), Status::Excused, 1),
            (record(&[110], &[]), record(&[], &[Said::Set(Status::Late)]), Status::Late, 1),
            (record(&[110, 111], &[]), record(&[120], &[Said::Rejected]), Status::Present, 3),
            (record(&[110], &[Said::Confirmed]), record(&[120], &[Said::Rejected]), Status::Present, 2),
        ];
        for (mut kept, other, status, sightings) in table {
            let shown = format!("{kept:?} {other:?}");
            kept.absorb(other, &case);
            assert_eq!((kept.verdict.status, kept.sightings.len()), (status, sightings), "{shown}");
        }
    }
}
