//! Keeps stages alive: a factory for each, a *new* object for every life, restarts counted by cause and limited.
//!
//! actix's own supervisor restarts the same object, and only after an orderly stop; here a guard that lives as long
//! as the actor's task tells the supervisor of its end, however it came.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use actix::{Addr, ArbiterHandle, Context};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tracing::Span;

use super::{
    clock::Clock,
    health::Health,
    inbox::{Inbox, StageSender},
    lock::lock,
    observe::{Observer, StageSnapshot, StageState, StageStatus},
    panics::contain,
    restart::{RestartCause, RestartLimiter, RestartPolicy},
    stage::{End, Life, Stage, StageActor, StageContext, StageSpec},
};

/// What all stages of a supervisor share.
#[derive(Clone)]
pub struct SupervisorOptions {
    /// How stages are restarted.
    pub policy: RestartPolicy,
    /// Turned unready, under the stage's name, by a stage that was given up.
    pub health: Health,
    /// Hears of blocked senders and restarts.
    pub observer: Arc<dyn Observer>,
    /// Dates errors and progress in snapshots.
    pub clock: Arc<dyn Clock>,
}

/// Starts stages on one arbiter's thread and keeps them alive. Dropping it stops them.
pub struct Supervisor {
    arbiter: ArbiterHandle,
    options: SupervisorOptions,
    stages: Mutex<Vec<Supervised>>,
}

/// The supervisor's hold on one stage, without the type of its messages.
struct Supervised {
    state: Arc<StageState>,
    present: Arc<Present>,
    close: Box<dyn Fn() + Send + Sync>,
}

/// The incarnation that lives at the moment.
#[derive(Default)]
struct Present(Mutex<Option<Arc<Life>>>);

impl Present {
    fn end(&self, what: &str) -> bool {
        let life = lock(&self.0).clone();
        let alive = life.is_some();
        if let Some(life) = life {
            life.end(End { cause: RestartCause::Killed, what: what.to_owned(), span: Span::none() });
        }
        alive
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.stages).iter().map(|stage| stage.state.name())).finish()
    }
}

impl Supervisor {
    /// A supervisor whose stages live on `arbiter`.
    pub fn new(arbiter: ArbiterHandle, options: SupervisorOptions) -> Self {
        Self { arbiter, options, stages: Mutex::new(Vec::new()) }
    }

    /// Starts a stage; `factory` makes each of its incarnations, on the arbiter's thread. Messages may be sent at
    /// once: they wait until the first incarnation is up. A panic in `factory` counts as a death.
    pub fn start_stage<S: Stage>(
        &self,
        spec: StageSpec,
        factory: impl Fn() -> S + Send + 'static,
    ) -> StageSender<S::Message> {
        let capacity = spec.capacity.max(1);
        let state = Arc::new(StageState::new(spec.name, capacity, Arc::clone(&self.options.clock)));
        let inbox = Arc::new(Inbox::new(capacity, Arc::clone(&state), Arc::clone(&self.options.observer)));
        let present = Arc::new(Present::default());
        lock(&self.stages).push(Supervised {
            state,
            present: Arc::clone(&present),
            close: Box::new({
                let inbox = Arc::clone(&inbox);
                move || inbox.close()
            }),
        });
        let keeper = Keeper { inbox: Arc::clone(&inbox), present, factory, options: self.options.clone() };
        // Where the thread has ended already, the keeper is dropped here and closes the stage.
        self.arbiter.spawn_fn(move || {
            actix::spawn(keeper.keep_alive());
        });
        StageSender::new(inbox)
    }

    /// Ends the present incarnation of the stage `name`, as if it had died; its successor follows. False when there
    /// is no such stage, or none alive.
    pub fn kill(&self, name: &str) -> bool {
        lock(&self.stages).iter().any(|stage| stage.state.name() == name && stage.present.end("killed"))
    }

    /// Every stage's state, in the order of their start; dead ones too.
    pub fn snapshot(&self) -> Vec<StageSnapshot> {
        lock(&self.stages).iter().map(|stage| stage.state.snapshot()).collect()
    }

    /// Closes every inbox and ends every stage, for good. Messages still inside are dropped: drain first.
    pub fn stop(&self) {
        for stage in lock(&self.stages).iter() {
            (stage.close)();
            stage.present.end("stopped");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The loop that keeps one stage alive; runs on the arbiter's thread, beside the actor. Without it the stage is
/// closed: nobody would wake it again.
struct Keeper<S: Stage, F> {
    inbox: Arc<Inbox<S::Message>>,
    present: Arc<Present>,
    factory: F,
    options: SupervisorOptions,
}

impl<S: Stage, F> Drop for Keeper<S, F> {
    fn drop(&mut self) {
        let state = &self.inbox.state;
        if !self.inbox.is_closed() {
            self.options.health.set_unready(state.name(), "its thread has ended");
            self.inbox.close();
        }
        state.set_stopped();
    }
}

impl<S: Stage, F: Fn() -> S + 'static> Keeper<S, F> {
    async fn keep_alive(self) {
        let mut limiter = RestartLimiter::new(self.options.policy);
        while !self.inbox.is_closed() {
            let born = Instant::now();
            let end = self.live_once().await;
            if self.inbox.is_closed() {
                break;
            }
            match limiter.after_death(born, Instant::now()) {
                Some(backoff) => {
                    self.note_restart(&end);
                    sleep(backoff).await;
                }
                None => return self.give_up(&end),
            }
        }
    }

    /// One incarnation, from the factory to its end.
    async fn live_once(&self) -> End {
        let life = Arc::new(Life::default());
        let context = StageContext::new(Arc::clone(&self.inbox.state), Arc::clone(&life));
        let stage = match contain(&self.factory) {
            Ok(stage) => stage,
            Err(site) => return End::panicked(&site),
        };
        let (ended, end) = oneshot::channel::<()>();
        let address = spawn_actor(StageActor::new(stage, context), ended);
        *lock(&self.present.0) = Some(Arc::clone(&life));
        if self.inbox.open(address.recipient()) {
            self.inbox.state.set_status(StageStatus::Running);
        } else {
            // The service stopped between the loop's look and now.
            self.present.end("stopped");
        }
        // An error is the expected word: the sender lives as long as the actor and is dropped with it.
        let _ = end.await;
        *lock(&self.present.0) = None;
        self.inbox.hold();
        // Nobody said why: something of the stage's panicked where no message was being handled.
        life.take_end().unwrap_or_else(|| End {
            cause: RestartCause::Panic,
            what: "panicked outside a message".to_owned(),
            span: Span::none(),
        })
    }

    fn note_restart(&self, end: &End) {
        let state = &self.inbox.state;
        tracing::warn!(
            parent: &end.span, stage = state.name(), cause = %end.cause, what = end.what,
            "a stage died and is restarted"
        );
        state.set_status(StageStatus::Restarting);
        state.set_last_error(end.what.clone());
        state.count_restart(end.cause);
        self.options.observer.restarted(state.name(), end.cause);
    }

    fn give_up(&self, end: &End) {
        let state = &self.inbox.state;
        tracing::error!(
            parent: &end.span, stage = state.name(), cause = %end.cause, what = end.what, "a stage died too often"
        );
        state.set_last_error(end.what.clone());
        state.set_status(StageStatus::GivenUp);
        self.options.health.set_unready(state.name(), "the stage died too often and was given up");
        self.inbox.close();
    }
}

/// Runs `actor` in a task of its own; `ended` is dropped after the actor and every message inside it.
fn spawn_actor<S: Stage>(actor: StageActor<S>, ended: oneshot::Sender<()>) -> Addr<StageActor<S>> {
    let life = Context::new().into_future(actor);
    let address = life.address();
    actix::spawn(async move {
        let _ended = ended;
        life.await;
    });
    address
}
