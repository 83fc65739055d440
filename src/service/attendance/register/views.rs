//! The register of a session as clients see it, and what they say of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        LivenessVerdict, PersonId, PhotoId, Pseudonym, Sighting, Status, TimeTrust,
        attendance::record::{AppealState, Said},
    },
    service::{
        attendance::{
            record::RecordView,
            sessions::{SessionView, StatusCount},
            strangers::{GlimpseView, Known, UnknownFaceView},
        },
        view::NamedCandidate,
    },
};

/// One face that was taken for a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SightingView {
    /// In which photo.
    pub photo: PhotoId,
    /// Which of its faces, from 0, best detection first.
    pub face: u32,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Raw cosine of the face to the person's best sample.
    pub similarity: f32,
    /// Lead over the next person; null when there was none, 0 where the two look like one.
    pub margin: Option<f32>,
    /// That next person; null where there was none, or they are gone.
    pub runner_up: Option<NamedCandidate>,
    /// Width of the face in pixels.
    pub width_px: f32,
    /// The liveness verdict, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// The network that recognised the face.
    pub model: String,
    /// Whether somebody said that it is not them.
    pub refuted: bool,
    /// Whether a kiosk says when it was taken, which was without the server then, within the allowance of its key.
    pub offline: bool,
    /// Whether the face is as much the runner-up's, who looks the same: somebody was enrolled twice, or they are twins.
    pub enrolled_twice: bool,
}

impl SightingView {
    pub(super) fn new(sighting: Sighting, known: &Known) -> Self {
        let enrolled_twice = sighting.is_of_two();
        let Sighting { photo, face, at, similarity, margin, runner_up, width_px, liveness, model, refuted, time } =
            sighting;
        let runner_up = runner_up.and_then(|runner_up| known.named(runner_up));
        let (model, offline) = (model.name.to_string(), time == TimeTrust::Offline);
        Self {
            photo,
            face,
            at,
            similarity,
            margin,
            runner_up,
            width_px,
            liveness,
            model,
            refuted,
            offline,
            enrolled_twice,
        }
    }
}

/// What somebody said of a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CorrectionView {
    /// What.
    pub said: Said,
    /// Why.
    pub reason: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The unknown faces of the session that were said to be theirs.
    pub faces: Vec<GlimpseView>,
}

/// A record with its evidence.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordWithEvidence {
    /// What counts.
    #[serde(flatten)]
    pub record: RecordView,
    /// The faces that were taken for the person, by time; at most 20.
    pub sightings: Vec<SightingView>,
    /// What was said of it, oldest first; the last one holds.
    pub corrections: Vec<CorrectionView>,
}

/// Somebody of whom it is not sure whether they were there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ToConfirm {
    /// What is known.
    #[serde(flatten)]
    pub record: RecordWithEvidence,
    /// Whom their faces could show: themselves, and the most similar other person of the sightings that nobody refuted,
    /// where there is one.
    pub candidates: Vec<NamedCandidate>,
    /// Whether that is because two look like one person, of some of the sightings that nobody refuted: merge the two, who
    /// are somebody enrolled twice, or tell twins apart by a negative.
    pub enrolled_twice: bool,
}

impl From<RecordWithEvidence> for ToConfirm {
    fn from(record: RecordWithEvidence) -> Self {
        let RecordView { person, name, .. } = &record.record;
        let sightings = || record.sightings.iter().filter(|sighting| !sighting.refuted);
        let best = sightings().map(|sighting| sighting.similarity).max_by(f32::total_cmp);
        let own = best.map(|similarity| NamedCandidate { person: person.clone(), name: name.clone(), similarity });
        // Two who were merged into one are no rivals.
        let others =
            sightings().filter_map(|sighting| sighting.runner_up.as_ref()).filter(|other| other.person != *person);
        let next = others.max_by(|one, other| one.similarity.total_cmp(&other.similarity)).cloned();
        let enrolled_twice = sightings().any(|sighting| sighting.enrolled_twice);
        Self { candidates: own.into_iter().chain(next).collect(), enrolled_twice, record }
    }
}

/// A page of a session's records.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordPage {
    /// In an order of their own.
    pub records: Vec<RecordWithEvidence>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<Pseudonym>,
}

/// A person of the roster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterPerson {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
}

/// One screen's worth of a session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Review {
    /// The session.
    pub session: SessionView,
    /// People on the roster and with records, by what counts.
    pub counts: Vec<StatusCount>,
    /// Who was there, or is said to have been, by id.
    pub present: Vec<RecordView>,
    /// Whose faces are too few or too weak to be sure, with those and the two best candidates, by id.
    pub to_confirm: Vec<ToConfirm>,
    /// Whom somebody declared absent or excused, by id.
    pub set_by_hand: Vec<RecordView>,
    /// For whom nobody waits, seen or not: the day's other sessions cover them, it is a holiday, or they did not belong to
    /// the group when it started; by id.
    pub not_expected: Vec<RecordView>,
    /// Who was not seen, of those for whom somebody waits, by id.
    pub not_seen: Vec<RosterPerson>,
    /// The faces that nobody was named for, the same stranger once, most sightings first; none unless the tenant keeps
    /// them.
    pub unknown_faces: Vec<UnknownFaceView>,
    /// Whether a list is cut at `limit`, or unknown faces were seen after the session kept as many as it may, which is 200;
    /// `counts` counts all.
    pub is_cut: bool,
}

/// What is settled at once: at most 1000 people.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "confirm": ["ada"] }))]
pub struct ConfirmParams {
    /// These were there; when they were seen says whether they were late.
    #[serde(default)]
    pub confirm: Vec<PersonId>,
    /// The faces until now are not theirs.
    #[serde(default)]
    pub reject: Vec<PersonId>,
    /// This counts.
    #[serde(default)]
    pub set: Vec<SetStatus>,
}

/// What counts, by somebody's word.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetStatus {
    /// Of whom.
    pub person: PersonId,
    /// `present`, `late`, `left_early`, `absent` or `excused`.
    pub status: Status,
    /// Why, 1–500 characters.
    pub reason: String,
}

/// Records as they are after a change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SettledView {
    /// In the order of `confirm`, `reject`, `set`.
    pub records: Vec<RecordView>,
}

/// A person's objection.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealParams {
    /// What they say, 1–500 characters.
    pub note: String,
}

/// The answer to an appeal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AppealPatch {
    /// `accepted` or `refused`; `open` to think again.
    pub state: AppealState,
}
