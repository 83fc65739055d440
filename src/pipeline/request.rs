//! What a request wants of its photos, and the ticket that each of them carries from stage to stage.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use super::messages::PhotoReply;
pub use crate::domain::FaceChoice;
use crate::{
    domain::{
        GroupSession, NamingRules, PersonId, PhotoForm, PhotoId, TenantScope, TenantSettings, TimeTrust,
        attendance::stranger::Keeping, recognition::liveness::LivenessPolicy,
    },
    runtime::{InteractiveGuard, ServiceClass, Turn},
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
    /// Whether a photo without a clearly upright face is looked at from its other sides: an upload may lie on its side,
    /// a mounted camera's picture does not.
    pub turned: bool,
    /// Whether faces become vectors.
    pub embed: bool,
    /// Whether the crops behind the vectors are judged.
    pub measure: bool,
    /// Whether the passive liveness check runs, and what its verdict decides.
    pub liveness: LivenessPolicy,
    /// Whether head poses are estimated.
    pub pose: bool,
    /// Whom to look for.
    pub search: Option<Search>,
    /// Where to mark those who are found.
    pub mark: Option<Marking>,
    /// Whether an annotated copy comes back.
    pub annotate: bool,
    /// How much of the photo comes back as a copy to be kept; of the first of the faces, if only a face.
    pub copy: Option<PhotoForm>,
}

/// Whom to look for, and what it takes to name them.
#[derive(Debug, Clone)]
pub struct Search {
    /// The people to choose from; everybody of the tenant if `None`.
    pub roster: Option<Arc<[PersonId]>>,
    /// The rules of naming.
    pub rules: NamingRules,
    /// Whether the answer says what the search took.
    pub explain: bool,
}

/// Where to mark the people that are found.
#[derive(Debug, Clone)]
pub struct Marking {
    /// The session.
    pub session: GroupSession,
    /// When they were seen.
    pub at: Timestamp,
    /// How far that is trusted.
    pub time: TimeTrust,
    /// What took the photo.
    pub source: Option<String>,
    /// How the faces that nobody is named for are kept, if they are.
    pub unknown: Option<Keeping>,
    /// What was set for the tenant when this was asked for.
    pub judged_under: Arc<TenantSettings>,
}

/// When it is the turn of work of `class` in the tenant of `scope`, and whose share of the tenant's memory it takes.
pub fn turn_of(class: ServiceClass, scope: &TenantScope) -> Turn {
    Turn::new(class, scope.tenant().as_str()).of(&scope.actor().to_string())
}

/// What the photos of one request share.
#[derive(Debug)]
pub struct Request {
    wanted: Wanted,
    turn: Turn,
    /// How many of its photos hold memory for pixels.
    pub(super) holding_pixels: watch::Sender<usize>,
    /// Keeps a compute thread ready for people who wait; bulk has none.
    _interactive: Option<InteractiveGuard>,
}

impl Request {
    /// A request none of whose photos is under way yet.
    pub fn new(wanted: Wanted, turn: Turn, interactive: Option<InteractiveGuard>) -> Self {
        Self { wanted, turn, holding_pixels: watch::Sender::new(0), _interactive: interactive }
    }

    /// When it is the turn of its photos: tenants of one class take turns.
    pub fn turn(&self) -> &Turn {
        &self.turn
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
    /// Which photo it is, from decode on, where its people are marked.
    pub photo: Option<PhotoId>,
    request: Arc<Request>,
    reply: oneshot::Sender<PhotoReply>,
    left_last_stage: Instant,
}

impl Ticket {
    /// A ticket and the end at which its answer arrives.
    pub fn new(request: Arc<Request>) -> (Self, oneshot::Receiver<PhotoReply>) {
        let (reply, answer) = oneshot::channel();
        (Self { timings: Timings::default(), photo: None, request, reply, left_last_stage: Instant::now() }, answer)
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
