//! The pipeline, in flow order: ingest → decode → detect → embed → liveness → matching → attendance.
//!
//! Each arrow is a message of [`messages`], each box a supervised actor with a bounded inbox ([`Station::capacity`]).
//! A bad photo is a labelled count and a clear error for that photo; it never stops a stage.

pub mod messages;
pub mod request;

mod ingest;

mod decode;

pub mod detect;

pub mod embed;

pub mod liveness;

mod matching;

mod evidence;

mod attendance;

mod annotation;
mod copy;
mod networks;
mod station;
mod tools;

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

pub(crate) use self::ingest::full;
use self::{
    attendance::Attendance,
    decode::Decode,
    detect::Detect,
    embed::Embed,
    ingest::{Ingest, num_slow_places},
    liveness::Liveness,
    matching::Matching,
    messages::{EncodedImage, PhotoFailure, PhotoReply, Upload},
    request::{Request, Ticket, Wanted, turn_of},
    tools::stopping,
};
pub use self::{
    networks::NetworkSlot,
    station::{Capacity, Station},
    tools::{PipelineOptions, Tools},
};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::{InFlight, ServiceClass, Stage, StageSender, StageSpec, Supervisor, Turnstile},
};

/// The door of the running pipeline; cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    door: StageSender<Upload>,
    tools: Tools,
    requests: InFlight,
}

impl Pipeline {
    /// Starts the stages, last one first, on the current actix system.
    pub fn start(tools: Tools, supervisor: &Supervisor) -> Self {
        for station in [Station::Detect, Station::Embed, Station::Liveness] {
            let networks = Arc::clone(&tools.networks);
            tools.pool.on_panic(station.name(), move || networks.rebuild());
        }
        let attendance = start(supervisor, Station::Attendance, &tools, Attendance { tools: tools.clone() });
        let matching =
            start(supervisor, Station::Matching, &tools, Matching { tools: tools.clone(), next: attendance });
        let liveness = start(supervisor, Station::Liveness, &tools, Liveness { tools: tools.clone(), next: matching });
        let embed = start(supervisor, Station::Embed, &tools, Embed { tools: tools.clone(), next: liveness });
        let detect = start(supervisor, Station::Detect, &tools, Detect { tools: tools.clone(), next: embed });
        let decode = start(supervisor, Station::Decode, &tools, Decode { tools: tools.clone(), next: detect });
        let slow_places = Turnstile::new(num_slow_places(tools.options.threads));
        let ingest = Ingest { tools: tools.clone(), next: decode, slow_places };
        let door = start(supervisor, Station::Ingest, &tools, ingest);
        Self { door, tools, requests: InFlight::default() }
    }

    /// What the stages work with.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Takes no more requests and waits, at most for `patience`, until those inside are answered.
    pub async fn drain(&self, patience: Duration) {
        if let Err(left) = self.requests.drained(patience).await {
            tracing::warn!(%left, "requests were cut off by the stop");
        }
    }

    /// Sends the photos of one request through, one by one as room comes, and returns their answers in order.
    /// Dropping the future drops the photos that have not been worked on.
    ///
    /// # Errors
    /// `Overloaded` if the door is full and stays so for the admission wait, before the first photo was taken;
    /// `Unavailable` if the service is stopping or has lost a stage. A bad photo is an error of its own, not of the
    /// request.
    pub async fn run(&self, images: Vec<EncodedImage>, wanted: Wanted) -> Result<Vec<PhotoReply>> {
        let _inside = self.requests.enter().ok_or_else(stopping)?;
        let turn = turn_of(wanted.class, &wanted.scope);
        let is_person = turn.class == ServiceClass::Interactive;
        let interactive = is_person.then(|| self.tools.pool.expect_interactive(&turn.key));
        let request = Arc::new(Request::new(wanted, turn, interactive));
        let mut answers: Vec<oneshot::Receiver<PhotoReply>> = Vec::with_capacity(images.len());
        for image in images {
            let (ticket, answer) = Ticket::new(Arc::clone(&request));
            let admission = self.door.send(Upload { ticket, image }, request.turn());
            let admitted = if answers.is_empty() {
                timeout(self.tools.options.admission_wait, admission).await.map_err(|_| door_full())?
            } else {
                admission.await
            };
            admitted.map_err(|_| stopping())?;
            answers.push(answer);
        }
        let mut replies = Vec::with_capacity(answers.len());
        for answer in answers {
            replies.push(answer.await.unwrap_or_else(|_| Err(self.lost())));
        }
        Ok(replies)
    }

    /// The answer for a photo that was inside a stage when the stage died.
    fn lost(&self) -> PhotoFailure {
        let error = Error::internal("a stage failed while this photo was in it");
        self.tools.metrics.photos.with_label_values(&[error.code()]).inc();
        PhotoFailure { stage: "pipeline", error }
    }
}

/// Starts a stage; each incarnation is a fresh copy of `prototype`, which holds no state of its own.
fn start<S: Stage + Clone + Send>(
    supervisor: &Supervisor,
    station: Station,
    tools: &Tools,
    prototype: S,
) -> StageSender<S::Message> {
    let spec = StageSpec { name: station.name(), capacity: station.capacity().on(tools.options.threads) };
    supervisor.start_stage(spec, move || prototype.clone())
}

fn door_full() -> Error {
    Error::new(ErrorKind::Overloaded, "the server is busy with other photos; try again shortly")
}
