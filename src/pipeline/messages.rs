//! What travels: one struct an arrow, in flow order. A photo is one message with its faces in it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    domain::{
        Decision, Detection, GroupId, HeadPose, LivenessVerdict, Mark, NamingRules, PersonId, TenantScope,
        attendance::LivenessPolicy,
    },
    error::Error,
    nn::Embedding,
    runtime::{InteractiveGuard, Reservation, ServiceClass},
    vision::{Photo, decode::PhotoHeader, quality::CropQuality},
};

/// What is wanted of a photo. Every photo passes every stage; a stage that is not wanted passes it on untouched.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each asks for one piece of work, and any combination is meant")]
pub struct Wanted {
    /// Whose data may be touched.
    pub scope: TenantScope,
    /// Who waits for it.
    pub class: ServiceClass,
    /// Which of the faces go on.
    pub faces: FaceChoice,
    /// Whether faces become vectors.
    pub embed: bool,
    /// Whether the crops behind the vectors are judged.
    pub measure: bool,
    /// Whether the passive liveness check runs.
    pub liveness: bool,
    /// Whether head poses are estimated.
    pub pose: bool,
    /// Whom to look for.
    pub search: Option<Search>,
    /// Where to mark those who are found.
    pub mark: Option<Marking>,
    /// Whether an annotated copy comes back.
    pub annotate: bool,
}

/// Which faces of a photo are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaceChoice {
    /// Every face.
    #[serde(skip)]
    All,
    /// The largest, if it is clearly the largest.
    #[default]
    Clear,
    /// The only one.
    One,
    /// The largest.
    Largest,
}

/// Whom to look for, and what it takes to name them.
#[derive(Debug, Clone)]
pub struct Search {
    /// The people to choose from; everybody of the tenant if `None`.
    pub roster: Option<Arc<[PersonId]>>,
    /// The rules of naming.
    pub rules: NamingRules,
}

/// Where to mark the people that are found.
#[derive(Debug, Clone)]
pub struct Marking {
    /// The group whose implicit session it is.
    pub group: GroupId,
    /// The session's local date.
    pub date: Date,
    /// When they were seen.
    pub at: Timestamp,
    /// What the liveness verdict decides.
    pub policy: LivenessPolicy,
}

/// An image as it came in, with the memory that it holds.
#[derive(Debug)]
pub struct EncodedImage {
    /// The file's bytes.
    pub bytes: Bytes,
    /// The share of the byte budget that they hold.
    pub held: Reservation,
}

/// What the photos of one request share.
#[derive(Debug)]
pub struct Request {
    wanted: Wanted,
    /// How many of its photos hold memory for pixels.
    holding_pixels: watch::Sender<usize>,
    /// Keeps a compute thread ready for people who wait; bulk has none.
    _interactive: Option<InteractiveGuard>,
}

impl Request {
    /// A request none of whose photos is under way yet.
    pub fn new(wanted: Wanted, interactive: Option<InteractiveGuard>) -> Self {
        Self { wanted, holding_pixels: watch::Sender::new(0), _interactive: interactive }
    }

    /// What is wanted of its photos.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Resolves when waiting for memory has become hopeless: for as long as `patience` none of the request's own
    /// photos held any, so what is missing is with others. Own photos under way give theirs back in any case.
    pub async fn starved(&self, patience: Duration) {
        let mut holding = self.holding_pixels.subscribe();
        loop {
            // Neither can fail: the sender lives in `self`.
            let _ = holding.wait_for(|&photos| photos == 0).await;
            if timeout(patience, holding.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// The part of a message that stays the same along the way.
#[derive(Debug)]
pub struct Ticket {
    /// Where its time went.
    pub timings: Timings,
    request: Arc<Request>,
    reply: oneshot::Sender<PhotoReply>,
    left_last_stage: Instant,
}

impl Ticket {
    /// A ticket and the end at which its answer arrives.
    pub fn new(request: Arc<Request>) -> (Self, oneshot::Receiver<PhotoReply>) {
        let (reply, answer) = oneshot::channel();
        (Self { timings: Timings::default(), request, reply, left_last_stage: Instant::now() }, answer)
    }

    /// What is wanted of the photo.
    pub fn wanted(&self) -> &Wanted {
        &self.request.wanted
    }

    /// The request that the photo came with.
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }

    /// Whether anybody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Resolves when nobody waits for the answer any more.
    pub async fn unwanted(&mut self) {
        self.reply.closed().await;
    }

    /// Adds a stage's time: since the last stage, what was not work was waiting. Work that several threads shared
    /// adds up to more than the time that passed.
    pub fn note_time(&mut self, stage: &'static str, worked: Duration) {
        let queued = self.left_last_stage.elapsed().saturating_sub(worked);
        self.timings.0.push(StageTime { stage, queued, worked });
        self.left_last_stage = Instant::now();
    }

    /// Answers. A caller that has gone is not an error.
    pub fn answer(self, reply: PhotoReply) {
        drop(self.reply.send(reply));
    }
}

/// Where a photo's time went, in flow order.
#[derive(Debug, Clone, Default)]
pub struct Timings(pub Vec<StageTime>);

/// A photo's time in one stage.
#[derive(Debug, Clone, Copy)]
pub struct StageTime {
    /// Which stage.
    pub stage: &'static str,
    /// Waiting for room and for a thread.
    pub queued: Duration,
    /// Being worked on.
    pub worked: Duration,
}

/// What comes back for one photo.
pub type PhotoReply = Result<PhotoOutcome, PhotoFailure>;

/// A photo that could not be used, and where that showed.
#[derive(Debug)]
pub struct PhotoFailure {
    /// The stage that gave up.
    pub stage: &'static str,
    /// Why.
    pub error: Error,
}

/// → ingest.
#[derive(Debug)]
pub struct Upload {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo as it came.
    pub image: EncodedImage,
}

/// ingest → decode: the header was read, and the memory for the pixels is held.
#[derive(Debug)]
pub struct Admitted {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo as it came.
    pub image: EncodedImage,
    /// What its first bytes say.
    pub header: PhotoHeader,
    /// Memory for the pixels.
    pub pixels_held: PixelMemory,
}

/// Memory for the pixels of one photo; its request knows of it.
#[derive(Debug)]
pub struct PixelMemory {
    _held: Reservation,
    request: Arc<Request>,
}

impl PixelMemory {
    /// Ties the memory to the request whose photo it is for.
    pub fn new(held: Reservation, request: &Arc<Request>) -> Self {
        request.holding_pixels.send_modify(|photos| *photos += 1);
        Self { _held: held, request: Arc::clone(request) }
    }
}

impl Drop for PixelMemory {
    fn drop(&mut self) {
        self.request.holding_pixels.send_modify(|photos| *photos -= 1);
    }
}

/// Upright pixels and the memory that they hold.
#[derive(Debug, Clone)]
pub struct HeldPhoto {
    /// The pixels.
    pub photo: Arc<Photo>,
    /// Their share of the byte budget; given back with the last copy.
    _held: Arc<PixelMemory>,
}

impl HeldPhoto {
    /// Ties the pixels to the memory reserved for them.
    pub fn new(photo: Photo, held: PixelMemory) -> Self {
        Self { photo: Arc::new(photo), _held: Arc::new(held) }
    }
}

/// decode → detect.
#[derive(Debug)]
pub struct Decoded {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
}

/// detect → embed.
#[derive(Debug)]
pub struct Detected {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
    /// The chosen faces, best score first.
    pub faces: Vec<Detection>,
}

/// A face with its vector.
#[derive(Debug, Clone)]
pub struct EmbeddedFace {
    /// Where it is.
    pub detection: Detection,
    /// Its vector and measures, where they were wanted.
    pub appearance: Option<Appearance>,
}

/// What a face looks like, in numbers.
#[derive(Debug, Clone)]
pub struct Appearance {
    /// The unit vector and the norm it had.
    pub embedding: Embedding,
    /// How good the aligned crop is, where that was wanted.
    pub quality: Option<CropQuality>,
}

/// embed → liveness.
#[derive(Debug)]
pub struct Embedded {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The upright photo.
    pub photo: HeldPhoto,
    /// The faces in the order of detection.
    pub faces: Vec<EmbeddedFace>,
}

/// A face that was looked at from all sides.
#[derive(Debug, Clone)]
pub struct AssessedFace {
    /// The face and its vector.
    pub face: EmbeddedFace,
    /// Where it was wanted: the verdict, and the probability behind it if the face was large enough.
    pub liveness: Option<(LivenessVerdict, Option<f32>)>,
    /// Where it was wanted.
    pub pose: Option<HeadPose>,
}

/// What is known of the photo itself once its pixels may have gone.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// The pixels, if they are to be drawn on.
    pub photo: Option<HeldPhoto>,
}

/// liveness → matching.
#[derive(Debug)]
pub struct Assessed {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo's measures.
    pub frame: Frame,
    /// The faces in the order of detection.
    pub faces: Vec<AssessedFace>,
}

/// A face with the decision who it is, where that was asked.
#[derive(Debug, Clone)]
pub struct MatchedFace {
    /// The face.
    pub face: AssessedFace,
    /// Who it is, or why nobody was named.
    pub decision: Option<Decision>,
}

/// matching → attendance.
#[derive(Debug)]
pub struct Matched {
    /// See [`Ticket`].
    pub ticket: Ticket,
    /// The photo's measures.
    pub frame: Frame,
    /// The faces in the order of detection.
    pub faces: Vec<MatchedFace>,
}

/// A face at the end of its way.
#[derive(Debug, Clone)]
pub struct OutcomeFace {
    /// The face and who it is.
    pub face: MatchedFace,
    /// What became of it.
    pub mark: Mark,
    /// Whether the liveness policy alone kept a named face from being marked.
    pub refused_as_not_live: bool,
}

/// attendance → the caller: all that is known of a photo.
#[derive(Debug)]
pub struct PhotoOutcome {
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// The annotated copy, a JPEG, if it was wanted.
    pub annotated: Option<Vec<u8>>,
    /// The faces in the order of detection.
    pub faces: Vec<OutcomeFace>,
    /// Where its time went.
    pub timings: Timings,
}

/// A photo between two stages.
pub trait InTransit: Send + 'static {
    /// What is left of it when it cannot go on.
    fn into_ticket(self) -> Ticket;
}

macro_rules! in_transit {
    ($($message:ty),*) => {
        $(impl InTransit for $message {
            fn into_ticket(self) -> Ticket {
                self.ticket
            }
        })*
    };
}

in_transit!(Admitted, Decoded, Detected, Embedded, Assessed, Matched);
