//! A stage: one step of a pipeline, run by an actor that may die and come back.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, fut};
use tokio::sync::Notify;
use tracing::{Instrument, Span};

use super::{
    inbox::{Envelope, Place},
    lock::lock,
    observe::StageState,
    panics::{PanicSite, contain, contain_future},
    restart::RestartCause,
};
use error::Error;

/// The behaviour of one step. Each incarnation is a new object from the factory given to
/// [`Supervisor::start_stage`](super::Supervisor::start_stage), made and used on the supervisor's arbiter thread.
pub trait Stage: Sized + Unpin + 'static {
    /// What arrives on the arrow into this stage.
    type Message: Send + 'static;

    /// Handles one message and sends onward itself. Up to `capacity` of these futures run interleaved on one
    /// thread, so they must not block or compute: that is for [`ComputePool`](super::ComputePool).
    ///
    /// The message's place in the inbox is held until the future ends or is dropped. All of them are dropped when
    /// the stage dies, and with them the messages: a reply channel in the message tells its caller. A panic, here
    /// or in the future, ends the incarnation; a bad message must therefore be an outcome and not a panic.
    fn handle(&self, message: Self::Message, context: StageContext) -> impl Future<Output = ()> + 'static;
}

/// What a stage is called and how much fits into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageSpec {
    /// Unique in the service; the metric label.
    pub name: &'static str,
    /// The most messages inside, queued and in work; 0 counts as 1.
    pub capacity: usize,
}

/// What a stage may tell the runtime. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct StageContext {
    state: Arc<StageState>,
    life: Arc<Life>,
}

impl fmt::Debug for StageContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StageContext").field(&self.state.name()).finish()
    }
}

impl StageContext {
    pub(super) fn new(state: Arc<StageState>, life: Arc<Life>) -> Self {
        Self { state, life }
    }

    /// The stage's name.
    pub fn stage(&self) -> &'static str {
        self.state.name()
    }

    /// Counts a message that failed; `reason` is a metric label, so one of a few.
    pub fn count_failure(&self, reason: &'static str) {
        self.state.count_failure(reason);
    }

    /// Counts a message that was put aside because nobody waits for it any more.
    pub fn count_dropped(&self) {
        self.state.count_dropped();
    }

    /// Ends this incarnation because of `error`: for a stage that cannot go on as it is but may after a new start.
    /// Takes effect at the end of the present poll at the latest.
    pub fn stop_with(&self, error: &Error) {
        self.life.end(End { cause: RestartCause::Error, what: error.code().to_owned(), span: Span::current() });
    }
}

/// How an incarnation ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) cause: RestartCause,
    /// A code or a source location.
    pub(super) what: String,
    /// That of the message which it ended with.
    pub(super) span: Span,
}

impl End {
    pub(super) fn panicked(site: &PanicSite) -> Self {
        Self { cause: RestartCause::Panic, what: site.to_string(), span: Span::current() }
    }
}

/// The remote control of one incarnation: whoever ends it first says why.
#[derive(Debug, Default)]
pub(super) struct Life {
    end: Mutex<Option<End>>,
    ended: Notify,
}

impl Life {
    pub(super) fn end(&self, end: End) {
        lock(&self.end).get_or_insert(end);
        self.ended.notify_one();
    }

    pub(super) fn take_end(&self) -> Option<End> {
        lock(&self.end).take()
    }

    fn is_over(&self) -> bool {
        lock(&self.end).is_some()
    }
}

/// The actix actor around a stage.
pub(super) struct StageActor<S: Stage> {
    stage: S,
    context: StageContext,
}

impl<S: Stage> StageActor<S> {
    pub(super) fn new(stage: S, context: StageContext) -> Self {
        Self { stage, context }
    }

    /// Leaves nothing in the actix context to run or to receive once the life is over.
    fn obey(&self, ctx: &mut Context<Self>) {
        if self.context.life.is_over() {
            ctx.terminate();
        }
    }
}

impl<S: Stage> Actor for StageActor<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // 0 is unbounded: permits are the bound, and a bounded mailbox would park its sender.
        ctx.set_mailbox_capacity(0);
        let life = Arc::clone(&self.context.life);
        let over = fut::wrap_future::<_, Self>(async move { life.ended.notified().await });
        ctx.spawn(over.map(|(), actor, ctx| actor.obey(ctx)));
    }
}

impl<S: Stage> Handler<Envelope<S::Message>> for StageActor<S> {
    type Result = ();

    fn handle(&mut self, envelope: Envelope<S::Message>, ctx: &mut Self::Context) {
        let (message, place, span) = envelope.open();
        let _of_message = span.enter();
        let context = self.context.clone();
        match contain(|| self.stage.handle(message, context)) {
            Ok(work) => {
                let life = Arc::clone(&self.context.life);
                let handling = fut::wrap_future::<_, Self>(handle_one(work, place, life).in_current_span());
                ctx.spawn(handling.map(|(), actor, ctx| actor.obey(ctx)));
            }
            Err(site) => self.context.life.end(End::panicked(&site)),
        }
        self.obey(ctx);
    }
}

/// One message's handling, from its first poll to the return of its place.
async fn handle_one(work: impl Future<Output = ()>, place: Place, life: Arc<Life>) {
    match contain_future(work).await {
        Ok(()) => place.finish(),
        Err(site) => life.end(End::panicked(&site)),
    }
}
