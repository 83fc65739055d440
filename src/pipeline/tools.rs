//! What every stage works with.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use super::embed::FACES_A_TASK;
use super::{
    messages::{InTransit, PhotoFailure},
    networks::NetworkSlot,
    request::Ticket,
    station::Station,
};
use crate::{
    error::{Error, ErrorKind, Result},
    galleries::Galleries,
    runtime::{
        ByteBudget, CancelToken, ComputeError, ComputePool, Faults, JobSpec, SendFailed, StageContext, StageSender,
        Timed,
    },
    store::Store,
    telemetry::Metrics,
    vision::{Fonts, decode::DecodeLimits},
};

/// Shared by all stages; cheap to clone.
#[derive(Clone)]
pub struct Tools {
    /// Runs all CPU work.
    pub pool: ComputePool,
    /// The networks.
    pub networks: Arc<NetworkSlot>,
    /// Memory for bodies and pixels.
    pub budget: ByteBudget,
    /// Where records go.
    pub store: Store,
    /// Where faces are looked up.
    pub galleries: Galleries,
    /// Counts and seconds.
    pub metrics: Metrics,
    /// Faults planted by tests; none in a normal build.
    pub faults: Faults,
    /// What the stages go by.
    pub options: Arc<PipelineOptions>,
}

/// What the stages go by.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Compute threads.
    pub threads: NonZeroUsize,
    /// How long a request may wait at a full door, and a photo for memory.
    pub admission_wait: Duration,
    /// What a photo may be.
    pub decode_limits: DecodeLimits,
    /// The most faces of a photo, best first.
    pub max_faces: usize,
    /// Longest side of the detector's copy, in pixels.
    pub long_side_px: u32,
    /// Photos with a longer side are searched in tiles as well; 0 never.
    pub tile_above_px: u32,
    /// The least detection score.
    pub min_score: f32,
    /// Overlap at which two boxes are one face.
    pub nms_iou: f32,
    /// The least probability of a live face.
    pub min_live: f32,
    /// The least width for a liveness verdict, in pixels.
    pub min_live_width_px: f32,
    /// What names on annotated copies are written in.
    pub annotation_fonts: Fonts,
}

impl Tools {
    /// Runs a stage's work on a photo in the compute pool and books its time. A photo whose caller goes away is
    /// dropped before the work starts; a panic becomes this photo's `internal`.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        ticket: &mut Ticket,
        station: Station,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let faults = self.faults.clone();
        let run = self.pool.run(job(ticket, station), move || {
            faults.hit(station.work_fault());
            work()
        });
        while_wanted(ticket, station.name(), run).await?
    }

    /// The same for the faces of a photo: they are cut into small tasks that all threads share.
    pub(super) async fn scatter<I, O>(
        &self,
        ticket: &mut Ticket,
        station: Station,
        items: Vec<I>,
        work: impl Fn(Vec<I>) -> Result<Vec<O>> + Send + Sync + 'static,
    ) -> Result<Vec<O>>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let (faults, metrics) = (self.faults.clone(), self.metrics.clone());
        let run = self.pool.scatter(job(ticket, station), items, FACES_A_TASK, move |faces| {
            faults.hit(station.work_fault());
            metrics.batch_faces.with_label_values(&[station.name()]).observe(faces.len() as f64);
            match work(faces) {
                Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        });
        while_wanted(ticket, station.name(), run).await?.into_iter().collect()
    }

    /// Hands a photo to the next stage. If that stage was given up its caller is told so.
    pub(super) async fn pass_on<M: InTransit>(&self, next: &StageSender<M>, message: M) {
        let turn = message.ticket().request().turn().clone();
        if let Err(SendFailed(message)) = next.send(message, &turn).await {
            let error = stopping();
            self.metrics.photos.with_label_values(&[error.code()]).inc();
            message.into_ticket().answer(Err(PhotoFailure { stage: next.stage(), error }));
        }
    }

    /// Ends a photo with an error, counted by its code.
    pub(super) fn fail(&self, context: &StageContext, ticket: Ticket, station: Station, error: Error) {
        if error.kind() == ErrorKind::Cancelled {
            context.count_dropped();
            self.metrics.stage_dropped.with_label_values(&[station.name()]).inc();
        } else {
            context.count_failure(error.code());
        }
        if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Storage) {
            tracing::error!(stage = station.name(), code = error.code(), %error, "a photo failed");
        }
        self.metrics.photos.with_label_values(&[error.code()]).inc();
        ticket.answer(Err(PhotoFailure { stage: station.name(), error }));
    }
}

pub(super) fn job(ticket: &Ticket, station: Station) -> JobSpec {
    JobSpec {
        turn: ticket.request().turn().clone(),
        stage: station.name(),
        stage_rank: station.rank(),
        cancel: CancelToken::default(),
    }
}

/// Waits for a task as long as somebody waits for its photo, and books its time.
pub(super) async fn while_wanted<T>(
    ticket: &mut Ticket,
    step: &'static str,
    run: impl Future<Output = Result<Timed<T>, ComputeError>>,
) -> Result<T> {
    let done = tokio::select! {
        biased;
        () = ticket.unwanted() => Err(ComputeError::Dropped),
        done = run => done,
    };
    match done {
        Ok(timed) => {
            ticket.note_time(step, timed.worked);
            Ok(timed.value)
        }
        Err(ComputeError::Panicked) => Err(Error::internal("this photo could not be processed")),
        Err(ComputeError::Dropped) => Err(Error::new(ErrorKind::Cancelled, "the caller has gone")),
        Err(ComputeError::ShuttingDown) => Err(stopping()),
    }
}

/// The answer to work that comes while the service stops or has lost a stage.
pub(super) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "the service is stopping or has lost a stage")
}
