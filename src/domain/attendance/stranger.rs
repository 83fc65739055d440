//! Faces of a session that nobody was named for, such that the same stranger appears once.
//!
//! A face joins the stranger that it is most like, at or above a threshold; the faces of a photo are assigned as those of
//! people are, so that no two of them join the same one. Whoever is like nobody seen so far is a new stranger. A stranger
//! is recognised by the mean direction of their faces: it takes the room of one vector however many faces there are, and
//! the mean of several is nearer to the next face of the same person than most single ones.
//!
//! Within a photo no order matters. Between photos it does where faces are hard to tell: two shots too far apart to be
//! one's make two strangers if they come first, and one if a shot between them came before. Strangers are never joined or
//! parted later: that one is listed twice is a look more, that two are taken for one hides somebody.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::rules::sighting::{Evidence, keep};
use crate::{
    ids::{GroupSessionId, PhotoId, Pseudonym, StrangerId},
    recognition::{
        assignment::{Pair, assign},
        face::{FaceBox, LivenessVerdict, ModelId},
        matching::Likeness,
        vector::cosine,
    },
};
use error::{Error, Result};

/// The most strangers that a session keeps; what else is seen is not kept.
pub const MAX_STRANGERS: usize = 200;
/// The most days that a tenant may keep strangers.
const MAX_DAYS: u32 = 365;
/// The candidates that a stranger keeps.
const MAX_CANDIDATES: usize = 2;

/// Somebody in a session for whom nobody was named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stranger {
    /// Its own; says nothing of who it is.
    pub id: StrangerId,
    /// In which session.
    pub session: GroupSessionId,
    /// When the first face was kept, from which its days count.
    pub kept_at: Timestamp,
    /// What made the vectors.
    pub model: ModelId,
    /// The sum of the unit vectors of the faces.
    pub sum: Vec<f32>,
    /// The faces, in the order of their times; at most as many as a record's sightings.
    pub glimpses: Vec<Glimpse>,
    /// Who it could be, by the most similar of the faces, best first.
    pub candidates: Vec<Likeness>,
    /// What somebody said of it; none for as long as nobody has.
    pub settled: Option<Settled>,
}

/// What somebody said of a stranger. It is kept so that a photo which comes again does not bring them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settled {
    /// Who it is. All of it is kept, for as long as they are there: that word may be taken back.
    Named(Pseudonym),
    /// That it is nobody to be kept. Only the places of the faces are.
    Dismissed,
}

/// One face of a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Glimpse {
    /// In which photo.
    pub photo: PhotoId,
    /// Which of its faces, from 0 in the order of the answer.
    pub face: u32,
    /// When the photo was taken, or when it arrived.
    pub at: Timestamp,
    /// Where it is, in shares of the photo's width and height.
    pub normalized: FaceBox,
    /// Its width in pixels.
    pub width_px: f32,
    /// What the liveness check said, where it was asked.
    pub liveness: Option<LivenessVerdict>,
}

/// The larger a face, the more it shows.
impl Evidence for Glimpse {
    fn face(&self) -> (PhotoId, u32) {
        (self.photo, self.face)
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn worth(&self) -> f32 {
        self.width_px
    }
}

/// A face that nobody was named for; `C` says who it could be.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownFace<C> {
    /// Where it was seen.
    pub glimpse: Glimpse,
    /// Unit length.
    pub vector: Vec<f32>,
    /// Who it could be, best first.
    pub candidates: Vec<C>,
}

/// How unknown faces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keeping {
    /// From which raw cosine on two faces are one's.
    pub threshold: f32,
    /// The present.
    pub now: Timestamp,
}

/// The faces of one photo that nobody was named for.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownFaces<C> {
    /// How they are kept.
    pub keeping: Keeping,
    /// What made their vectors.
    pub model: ModelId,
    /// The faces.
    pub faces: Vec<UnknownFace<C>>,
}

/// What became of a photo's unknown faces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intake {
    /// The strangers that are new or have one face more.
    pub changed: Vec<Stranger>,
    /// How many of them are new.
    pub num_new: u32,
    /// How many faces were not kept, for want of room.
    pub num_lost: u32,
}

/// Errors: `Invalid` `invalid_retention` over 365 days.
pub fn check_days(days: u32) -> Result<()> {
    if days <= MAX_DAYS {
        return Ok(());
    }
    let message = format!("unknown faces are kept for at most {MAX_DAYS} days, or with 0 not at all");
    Err(Error::invalid(message).with_code("invalid_retention"))
}

/// Takes the unknown faces of a photo into a session whose strangers are `known`, the settled ones too. A face that was
/// taken in before changes nothing, and none joins a stranger who is settled.
pub fn take_in(known: &[Stranger], session: GroupSessionId, photo: UnknownFaces<Likeness>) -> Intake {
    let UnknownFaces { keeping, model, mut faces } = photo;
    faces.retain(|face| !known.iter().any(|stranger| stranger.shows(face.glimpse.face())));
    let mut pairs = Vec::new();
    for (place, face) in faces.iter().enumerate() {
        let may_join = |stranger: &Stranger| {
            stranger.settled.is_none() && stranger.model == model && !stranger.is_in(face.glimpse.photo)
        };
        for (who, stranger) in known.iter().enumerate().filter(|(_, stranger)| may_join(stranger)) {
            let similarity = stranger.likeness(&face.vector);
            if similarity >= keeping.threshold {
                pairs.push(Pair { face: place, who, similarity });
            }
        }
    }
    let joined: BTreeMap<usize, usize> =
        assign(&pairs).into_iter().map(|place| (pairs[place].face, pairs[place].who)).collect();
    let num_open = known.iter().filter(|stranger| stranger.settled.is_none()).count();
    let (mut intake, mut room) = (Intake::default(), MAX_STRANGERS.saturating_sub(num_open));
    for (place, face) in faces.into_iter().enumerate() {
        let mut stranger = match joined.get(&place) {
            Some(&who) => known[who].clone(),
            None if room > 0 => {
                room -= 1;
                intake.num_new += 1;
                Stranger::new(session, keeping.now, model.clone())
            }
            None => {
                intake.num_lost += 1;
                continue;
            }
        };
        stranger.add(face);
        intake.changed.push(stranger);
    }
    intake
}

impl Stranger {
    /// Without a face.
    fn new(session: GroupSessionId, kept_at: Timestamp, model: ModelId) -> Self {
        let (glimpses, candidates, sum) = (Vec::new(), Vec::new(), vec![0.0; model.dimension as usize]);
        Self { id: StrangerId::generate(), session, kept_at, model, sum, glimpses, candidates, settled: None }
    }

    /// The stranger of whom somebody said so.
    #[must_use]
    pub fn settled(self, settled: Settled) -> Self {
        let said = Self { settled: Some(settled), ..self };
        match settled {
            Settled::Named(_) => said,
            Settled::Dismissed => Self { sum: Vec::new(), candidates: Vec::new(), ..said },
        }
    }

    /// Whether it is settled that this is `who`.
    pub fn is_named(&self, who: Pseudonym) -> bool {
        self.settled == Some(Settled::Named(who))
    }

    /// Whether it has one of these faces.
    pub fn shows_any(&self, faces: &[Glimpse]) -> bool {
        faces.iter().any(|face| self.shows(face.face()))
    }

    /// Whether its time is over at `now`, where strangers are kept for so many days.
    pub fn is_over(&self, days: u32, now: Timestamp) -> bool {
        let end = self.kept_at.checked_add((24 * i64::from(days.min(MAX_DAYS))).hours());
        days == 0 || end.is_ok_and(|end| end <= now)
    }

    /// When it was seen first, and last.
    pub fn seen(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.glimpses.first()?.at, self.glimpses.last()?.at))
    }

    /// The cosine of a unit vector and the mean direction; 0 where the faces cancel each other out.
    fn likeness(&self, vector: &[f32]) -> f32 {
        let length = cosine(&self.sum, &self.sum).sqrt();
        if length > 0.0 { cosine(&self.sum, vector) / length } else { 0.0 }
    }

    fn shows(&self, face: (PhotoId, u32)) -> bool {
        self.glimpses.iter().any(|glimpse| glimpse.face() == face)
    }

    fn is_in(&self, photo: PhotoId) -> bool {
        self.glimpses.iter().any(|glimpse| glimpse.photo == photo)
    }

    fn add(&mut self, face: UnknownFace<Likeness>) {
        if !keep(&mut self.glimpses, face.glimpse) {
            return;
        }
        self.sum.iter_mut().zip(&face.vector).for_each(|(sum, value)| *sum += value);
        for new in face.candidates {
            match self.candidates.iter_mut().find(|known| known.who == new.who) {
                Some(known) => known.similarity = known.similarity.max(new.similarity),
                None => self.candidates.push(new),
            }
        }
        self.candidates.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        self.candidates.truncate(MAX_CANDIDATES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A unit vector at so many degrees: the cosine of two is that of their difference.
    fn at(degrees: f32) -> Vec<f32> {
        vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
    }

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn model(name: &str) -> ModelId {
        ModelId { name: name.into(), dimension: 2, postprocessing: 1 }
    }

    fn face(photo: PhotoId, face: u32, degrees: f32) -> UnknownFace<Likeness> {
        let normalized = FaceBox { x1: 0.1, y1: 0.1, x2: 0.2, y2: 0.2 };
        let glimpse = Glimpse { photo, face, at: minute(0), normalized, width_px: 60.0, liveness: None };
        UnknownFace { glimpse, vector: at(degrees), candidates: Vec::new() }
    }

    /// What a session keeps after photos of faces at these degrees, where 30 degrees are as far as one's faces are apart.
    fn after(photos: &[&[f32]]) -> Vec<Stranger> {
        let mut known = Vec::new();
        for degrees in photos {
            let photo = PhotoId::generate();
            let faces = degrees.iter().enumerate().map(|(number, &degrees)| face(photo, number as u32, degrees));
            take(&mut known, "m", faces.collect());
        }
        known
    }

    /// How many strangers are new.
    fn take(known: &mut Vec<Stranger>, name: &str, faces: Vec<UnknownFace<Likeness>>) -> u32 {
        let keeping = Keeping { threshold: 30.5_f32.to_radians().cos(), now: minute(7) };
        let photo = UnknownFaces { keeping, model: model(name), faces };
        let Intake { changed, num_new, .. } = take_in(known, GroupSessionId::from_bytes([1; 16]), photo);
        for stranger in changed {
            known.retain(|other| other.id != stranger.id);
            known.push(stranger);
        }
        num_new
    }

    /// The faces that each stranger has, most first.
    fn sizes(strangers: &[Stranger]) -> Vec<usize> {
        let mut sizes: Vec<usize> = strangers.iter().map(|stranger| stranger.glimpses.len()).collect();
        sizes.sort_unstable_by_key(|&size| std::cmp::Reverse(size));
        sizes
    }

    /// What it is about, the photos, and the faces of each stranger.
    type Case<'a> = (&'a str, &'a [&'a [f32]], &'a [usize]);

    #[test]
    fn the_same_stranger_appears_once() {
        let table: [Case<'_>; 9] = [
            ("nobody", &[&[]], &[]),
            ("one in two photos", &[&[0.0], &[20.0]], &[2]),
            ("two", &[&[0.0, 90.0]], &[1, 1]),
            ("two in each of two photos", &[&[0.0, 90.0], &[100.0, 10.0]], &[2, 2]),
            ("one and then another", &[&[0.0], &[40.0]], &[1, 1]),
            ("two faces of a photo are two, however alike", &[&[0.0, 1.0]], &[1, 1]),
            // The first face is nearer to the second stranger, and the second like that one alone.
            ("the sum decides", &[&[0.0, 40.0], &[25.0, 60.0]], &[2, 2]),
            ("the mean moves with its faces", &[&[0.0], &[20.0], &[38.0]], &[3]),
            ("a far shot first is a stranger more", &[&[0.0], &[38.0], &[20.0]], &[2, 1]),
        ];
        for (what, photos, expected) in table {
            assert_eq!(sizes(&after(photos)), expected, "{what}");
        }
    }

    #[test]
    fn within_a_photo_no_order_matters() {
        let of = |photos: &[&[f32]]| {
            let mut sums: Vec<Vec<i32>> = after(photos)
                .iter()
                .map(|stranger| stranger.sum.iter().map(|value| (value * 1e4).round() as i32).collect())
                .collect();
            sums.sort_unstable();
            sums
        };
        assert_eq!(of(&[&[0.0, 45.0], &[20.0, 30.0, 200.0]]), of(&[&[45.0, 0.0], &[200.0, 30.0, 20.0]]));
    }

    #[test]
    fn the_same_photo_again_changes_nothing_and_another_network_joins_nobody() {
        let mut known = Vec::new();
        let photo = PhotoId::generate();
        let faces = vec![face(photo, 0, 0.0), face(photo, 2, 90.0)];
        assert_eq!(take(&mut known, "m", faces.clone()), 2);
        let before = known.clone();
        assert_eq!(take(&mut known, "m", faces), 0);
        assert_eq!(known, before);
        assert_eq!(take(&mut known, "m", vec![face(PhotoId::generate(), 0, 0.0)]), 0);
        assert_eq!(take(&mut known, "other", vec![face(PhotoId::generate(), 0, 0.0)]), 1);
    }

    #[test]
    fn the_same_photo_brings_nobody_back_who_is_settled_and_another_photo_is_of_somebody_new() {
        let who = Pseudonym::from_bytes([1; 16]);
        for settled in [Settled::Named(who), Settled::Dismissed] {
            let (mut known, photo) = (Vec::new(), PhotoId::generate());
            assert_eq!(take(&mut known, "m", vec![face(photo, 0, 0.0)]), 1);
            known[0] = known[0].clone().settled(settled);
            let said = known.clone();
            assert_eq!((take(&mut known, "m", vec![face(photo, 0, 0.0)]), &known), (0, &said), "{settled:?}");
            assert_eq!(take(&mut known, "m", vec![face(PhotoId::generate(), 0, 0.0)]), 1, "{settled:?}");
            assert_eq!(known.iter().filter(|stranger| stranger.settled.is_none()).count(), 1, "{settled:?}");
            assert_eq!(said[0].is_named(who), settled != Settled::Dismissed);
            assert!(said[0].shows_any(&said[0].glimpses));
            assert_eq!(said[0].sum.is_empty(), settled == Settled::Dismissed, "nobody's vector is kept in vain");
        }
    }

    #[test]
    fn a_session_keeps_so_many_strangers_with_so_many_faces() {
        let photo = PhotoId::generate();
        let crowd = (0..300).map(|number| face(photo, number, 0.0)).collect();
        let mut known = Vec::new();
        assert_eq!((take(&mut known, "m", crowd), known.len()), (200, MAX_STRANGERS));
        assert_eq!(take(&mut known, "m", vec![face(PhotoId::generate(), 0, 180.0)]), 0);
        assert_eq!(known.len(), MAX_STRANGERS);
        known.truncate(1);
        for number in 1..=40 {
            let mut face = face(PhotoId::generate(), 0, 0.0);
            face.glimpse.at = minute(number);
            face.glimpse.width_px = 100.0 - number as f32;
            assert_eq!(take(&mut known, "m", vec![face]), 0);
        }
        assert_eq!((sizes(&known), known[0].seen()), (vec![20], Some((minute(0), minute(40)))));
    }

    #[test]
    fn the_two_best_candidates_of_all_faces_stay() {
        let [a, b, c] = [1, 2, 3].map(|byte| Pseudonym::from_bytes([byte; 16]));
        let likeness = |(who, similarity)| Likeness { who, similarity };
        let mut known = Vec::new();
        for candidates in [[(a, 0.3), (b, 0.2)], [(b, 0.1), (c, 0.25)], [(c, 0.35), (a, 0.1)]] {
            let face = face(PhotoId::generate(), 0, 0.0);
            take(&mut known, "m", vec![UnknownFace { candidates: candidates.map(likeness).into(), ..face }]);
        }
        assert_eq!(known[0].candidates, [(c, 0.35), (a, 0.3)].map(likeness));
    }

    #[test]
    fn strangers_go_when_their_days_are_over_or_none_are_wanted() {
        let stranger = after(&[&[0.0]]).remove(0);
        let day = 24 * 60;
        let table = [(0, 7, true), (1, 7 + day - 1, false), (1, 7 + day, true), (365, 7 + 364 * day, false)];
        for (days, now, expected) in table {
            assert_eq!(stranger.is_over(days, minute(now)), expected, "{days} {now}");
        }
        assert!(check_days(365).is_ok());
        assert_eq!(check_days(366).unwrap_err().code(), "invalid_retention");
    }
}
