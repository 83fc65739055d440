//! Stages on real arbiters: restarts, permits and backpressure.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix::Arbiter;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};

use super::*;
use error::Error;

/// Far beyond what any of this takes; only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// One who waits, of another key each time: the last place of an inbox is for who has none.
fn person() -> Turn {
    static PEOPLE: AtomicUsize = AtomicUsize::new(0);
    Turn::new(ServiceClass::Interactive, &PEOPLE.fetch_add(1, SeqCst).to_string())
}

#[derive(Default)]
struct Heard {
    blocked: AtomicUsize,
    restarted: Mutex<Vec<(&'static str, RestartCause)>>,
}

impl Observer for Heard {
    fn blocked(&self, _stage: &'static str, _waited: Duration) {
        self.blocked.fetch_add(1, SeqCst);
    }

    fn restarted(&self, stage: &'static str, cause: RestartCause) {
        self.restarted.lock().unwrap().push((stage, cause));
    }
}

/// A supervisor on an arbiter of its own, and what it reports to.
struct Service {
    arbiter: Arbiter,
    supervisor: Supervisor,
    health: Health,
    heard: Arc<Heard>,
}

fn service_with(policy: RestartPolicy) -> Service {
    let arbiter = Arbiter::new();
    let (health, heard) = (Health::default(), Arc::new(Heard::default()));
    let options = SupervisorOptions {
        policy,
        health: health.clone(),
        observer: heard.clone(),
        clock: Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap())),
    };
    Service { supervisor: Supervisor::new(arbiter.handle(), options), arbiter, health, heard }
}

/// Restarts at once and for as often as a test needs.
fn service() -> Service {
    service_with(RestartPolicy { first_backoff: Duration::ZERO, max_restarts: 10_000, ..RestartPolicy::default() })
}

impl Service {
    fn snapshot(&self, stage: &str) -> StageSnapshot {
        self.supervisor.snapshot().into_iter().find(|snapshot| snapshot.name == stage).unwrap()
    }

    fn end(self) {
        drop(self.supervisor);
        self.arbiter.stop();
        self.arbiter.join().unwrap();
    }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("it never came true");
}

/// What a [`Worker`] is to do with a message.
enum Order {
    /// Say which incarnation you are, and how many messages it had before.
    Answer(oneshot::Sender<(usize, usize)>),
    /// Answer once the semaphore gives a permit.
    AnswerAfter(Arc<Semaphore>, oneshot::Sender<()>),
    PanicInHandler,
    PanicInFuture,
    Fail,
}

/// Counts per incarnation; not `Send`, as a stage need not be.
struct Worker {
    incarnation: usize,
    handled: Cell<usize>,
}

impl Stage for Worker {
    type Message = Order;

    fn handle(&self, order: Order, context: StageContext) -> impl Future<Output = ()> + 'static {
        assert!(!matches!(order, Order::PanicInHandler), "as ordered");
        let answer = (self.incarnation, self.handled.replace(self.handled.get() + 1));
        async move {
            match order {
                Order::Answer(reply) => reply.send(answer).unwrap(),
                Order::AnswerAfter(gate, reply) => {
                    gate.acquire().await.unwrap().forget();
                    let _ = reply.send(());
                }
                Order::PanicInHandler | Order::PanicInFuture => panic!("as ordered"),
                Order::Fail => {
                    context.stop_with(&Error::storage("gone").with_code("lost_disk"));
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

fn start_worker(service: &Service, capacity: usize) -> StageSender<Order> {
    let incarnations = AtomicUsize::new(0);
    service.supervisor.start_stage(StageSpec { name: "worker", capacity }, move || Worker {
        incarnation: incarnations.fetch_add(1, SeqCst),
        handled: Cell::new(0),
    })
}

async fn ask(worker: &StageSender<Order>) -> (usize, usize) {
    let (reply, answer) = oneshot::channel();
    timeout(DEADLINE, worker.send(Order::Answer(reply), &person())).await.unwrap().unwrap();
    timeout(DEADLINE, answer).await.unwrap().unwrap()
}

#[actix::test]
async fn every_life_is_a_new_object_and_senders_never_notice() {
    let service = service();
    let worker = start_worker(&service, 4);
    assert_eq!((ask(&worker).await, ask(&worker).await), ((0, 0), (0, 1)));
    worker.send(Order::PanicInHandler, &person()).await.unwrap();
    assert_eq!(ask_the_next(&worker, 1).await, 0);
    worker.send(Order::PanicInFuture, &person()).await.unwrap();
    ask_the_next(&worker, 2).await;
    worker.send(Order::Fail, &person()).await.unwrap();
    ask_the_next(&worker, 3).await;
    assert_eq!(service.snapshot("worker").last_error.unwrap().what, "lost_disk");
    assert!(service.supervisor.kill("worker"));
    ask_the_next(&worker, 4).await;
    assert!(!service.supervisor.kill("nobody"));

    let snapshot = service.snapshot("worker");
    let causes: Vec<_> = snapshot.restarts.into_iter().collect();
    assert_eq!(causes, [(RestartCause::Panic, 2), (RestartCause::Error, 1), (RestartCause::Killed, 1)]);
    let heard: Vec<_> = service.heard.restarted.lock().unwrap().iter().map(|&(_, cause)| cause).collect();
    assert_eq!(heard, [RestartCause::Panic, RestartCause::Panic, RestartCause::Error, RestartCause::Killed]);
    assert_eq!(snapshot.status, StageStatus::Running);
    assert!(service.health.is_ready());
    service.end();
}

/// Asks until the answer comes from `incarnation`; a question may still die with its predecessor.
async fn ask_the_next(worker: &StageSender<Order>, incarnation: usize) -> usize {
    loop {
        let (reply, answer) = oneshot::channel();
        timeout(DEADLINE, worker.send(Order::Answer(reply), &person())).await.unwrap().unwrap();
        match timeout(DEADLINE, answer).await.unwrap() {
            Ok((from, handled)) if from == incarnation => return handled,
            Ok((from, _)) => assert!(from < incarnation),
            Err(_died_inside) => {}
        }
    }
}

#[actix::test]
async fn places_come_back_however_a_message_ends() {
    let service = service();
    let worker = start_worker(&service, 3);
    for round in 0..50 {
        let never = Arc::new(Semaphore::new(0));
        let (reply, dead) = oneshot::channel();
        worker.send(Order::AnswerAfter(never, reply), &person()).await.unwrap();
        match round % 4 {
            0 => worker.send(Order::PanicInHandler, &person()).await.unwrap(),
            1 => worker.send(Order::PanicInFuture, &person()).await.unwrap(),
            2 => worker.send(Order::Fail, &person()).await.unwrap(),
            _ => {
                eventually(|| service.supervisor.kill("worker")).await;
            }
        }
        assert!(
            timeout(DEADLINE, dead).await.unwrap().is_err(),
            "the message dies with its stage and tells its caller"
        );
    }
    eventually(|| worker.in_flight() == 0).await;

    let gate = Arc::new(Semaphore::new(0));
    let mut answers = Vec::new();
    for _ in 0..3 {
        let (reply, answer) = oneshot::channel();
        timeout(DEADLINE, worker.send(Order::AnswerAfter(gate.clone(), reply), &person())).await.unwrap().unwrap();
        answers.push(answer);
    }
    assert!(matches!(
        worker.try_send(Order::PanicInHandler, &person()),
        Err(TrySendFailed::Full(Order::PanicInHandler))
    ));
    gate.add_permits(3);
    for answer in answers {
        timeout(DEADLINE, answer).await.unwrap().unwrap();
    }
    eventually(|| worker.in_flight() == 0).await;
    let snapshot = service.snapshot("worker");
    assert_eq!((snapshot.queued, snapshot.working, snapshot.senders_waiting), (0, 0, 0));
    // 50 that waited for nothing, and those that ended their stage; a kill sends none.
    assert_eq!(snapshot.lost, 50 + 38);
    assert_eq!(snapshot.handled, 3);
    service.end();
}

#[actix::test]
async fn only_a_full_inbox_counts_as_backpressure() {
    let service = service();
    let worker = start_worker(&service, 2);
    for _ in 0..20 {
        ask(&worker).await;
        eventually(|| worker.in_flight() == 0).await;
    }
    assert_eq!(service.heard.blocked.load(SeqCst), 0);

    let gate = Arc::new(Semaphore::new(0));
    for _ in 0..2 {
        worker.send(Order::AnswerAfter(gate.clone(), oneshot::channel().0), &person()).await.unwrap();
    }
    let abandoned = timeout(Duration::from_millis(5), ask(&worker)).await;
    assert!(abandoned.is_err());
    let blocked = actix::spawn({
        let worker = worker.clone();
        async move { ask(&worker).await }
    });
    eventually(|| service.snapshot("worker").senders_waiting == 1).await;
    gate.add_permits(2);
    timeout(DEADLINE, blocked).await.unwrap().unwrap();
    let snapshot = service.snapshot("worker");
    assert_eq!((snapshot.blocked, snapshot.senders_waiting), (2, 0));
    assert!(snapshot.blocked_seconds > 0.0);
    assert_eq!(service.heard.blocked.load(SeqCst), 2);
    service.end();
}

#[actix::test]
async fn a_stage_that_keeps_dying_is_given_up_and_turns_readiness() {
    let service = service_with(RestartPolicy {
        first_backoff: Duration::from_millis(1),
        max_restarts: 3,
        window: DEADLINE,
        ..RestartPolicy::default()
    });
    let worker = start_worker(&service, 2);
    let mut sent = 0;
    while timeout(DEADLINE, worker.send(Order::PanicInFuture, &person())).await.unwrap().is_ok() {
        sent += 1;
        assert!(sent < 1000);
    }
    assert!(worker.is_closed());
    assert!(matches!(worker.try_send(Order::PanicInFuture, &person()), Err(TrySendFailed::Closed(_))));
    let snapshot = service.snapshot("worker");
    assert_eq!((snapshot.status, snapshot.restarts[&RestartCause::Panic]), (StageStatus::GivenUp, 3));
    assert!(snapshot.last_error.unwrap().what.starts_with("panicked at src"));
    let report = service.health.report();
    assert!(!report.ready && report.reasons.contains_key("worker"));
    service.end();
}

#[actix::test]
async fn a_factory_that_panics_is_a_death_like_another() {
    let service = service();
    let starts = AtomicUsize::new(0);
    let worker = service.supervisor.start_stage(StageSpec { name: "worker", capacity: 0 }, move || {
        let incarnation = starts.fetch_add(1, SeqCst);
        assert!(incarnation >= 2, "not yet");
        Worker { incarnation, handled: Cell::new(0) }
    });
    assert_eq!(worker.capacity(), 1);
    assert_eq!(ask(&worker).await, (2, 0));
    assert_eq!(service.snapshot("worker").restarts[&RestartCause::Panic], 2);
    service.end();
}

#[actix::test]
async fn stopping_gives_waiting_messages_back_and_drops_those_inside() {
    let service = service();
    let worker = start_worker(&service, 1);
    let (reply, inside) = oneshot::channel();
    worker.send(Order::AnswerAfter(Arc::new(Semaphore::new(0)), reply), &person()).await.unwrap();
    let waiting = actix::spawn({
        let worker = worker.clone();
        async move { worker.send(Order::PanicInFuture, &person()).await }
    });
    eventually(|| service.snapshot("worker").senders_waiting == 1).await;
    service.supervisor.stop();
    assert!(matches!(timeout(DEADLINE, waiting).await.unwrap().unwrap(), Err(SendFailed(Order::PanicInFuture))));
    assert!(timeout(DEADLINE, inside).await.unwrap().is_err());
    eventually(|| service.snapshot("worker").status == StageStatus::Stopped).await;
    assert!(service.heard.restarted.lock().unwrap().is_empty());
    service.end();
}

#[actix::test]
async fn without_its_thread_a_stage_is_closed_and_unready() {
    let Service { arbiter, supervisor, health, heard: _ } = service();
    let orphan = supervisor
        .start_stage(StageSpec { name: "orphan", capacity: 1 }, || Worker { incarnation: 0, handled: Cell::new(0) });
    ask(&orphan).await;
    arbiter.stop();
    arbiter.join().unwrap();
    assert!(matches!(orphan.send(Order::PanicInFuture, &person()).await, Err(SendFailed(Order::PanicInFuture))));
    assert_eq!(health.report().reasons.into_keys().collect::<Vec<_>>(), ["orphan"]);

    let service = Service { arbiter: Arbiter::new(), supervisor, health, heard: Arc::default() };
    let late = start_worker(&service, 1);
    assert!(late.is_closed());
    assert_eq!(service.snapshot("worker").status, StageStatus::Stopped);
    assert_eq!(service.health.report().reasons.into_keys().collect::<Vec<_>>(), ["orphan", "worker"]);
    service.end();
}

/// Passes its message on, or keeps it where there is no next stage.
struct Relay {
    next: Option<StageSender<u32>>,
    gate: Arc<Semaphore>,
}

impl Stage for Relay {
    type Message = u32;

    fn handle(&self, message: u32, _context: StageContext) -> impl Future<Output = ()> + 'static {
        let (next, gate) = (self.next.clone(), self.gate.clone());
        async move {
            match next {
                Some(next) => next.send(message, &person()).await.unwrap(),
                None => gate.acquire().await.unwrap().forget(),
            }
        }
    }
}

#[actix::test]
async fn with_the_last_of_three_blocked_no_more_is_inside_than_their_capacities() {
    let service = service();
    let gate = Arc::new(Semaphore::new(0));
    let start = |name, capacity, next: Option<StageSender<u32>>| {
        let gate = gate.clone();
        let factory = move || Relay { next: next.clone(), gate: gate.clone() };
        service.supervisor.start_stage(StageSpec { name, capacity }, factory)
    };
    let last = start("last", 4, None);
    let middle = start("middle", 3, Some(last.clone()));
    let first = start("first", 2, Some(middle.clone()));
    let admitted = Arc::new(AtomicUsize::new(0));
    let flood = actix::spawn({
        let (first, admitted) = (first.clone(), admitted.clone());
        async move {
            for message in 0..100 {
                first.send(message, &person()).await.unwrap();
                admitted.fetch_add(1, SeqCst);
            }
        }
    });
    let inside = || [first.in_flight(), middle.in_flight(), last.in_flight()];
    eventually(|| inside() == [2, 3, 4]).await;
    for released in 0..50 {
        eventually(|| inside() == [2, 3, 4] && admitted.load(SeqCst) == 9 + released).await;
        gate.add_permits(1);
        eventually(|| admitted.load(SeqCst) == 10 + released).await;
    }
    gate.add_permits(100);
    timeout(DEADLINE, flood).await.unwrap().unwrap();
    eventually(|| inside() == [0, 0, 0]).await;
    assert_eq!(service.snapshot("last").handled, 100);
    service.end();
}

#[actix::test]
async fn a_drain_lets_what_was_admitted_finish() {
    let service = service();
    let (gate, in_flight, shutdown) = (Arc::new(Semaphore::new(0)), InFlight::default(), Shutdown::default());
    let worker = start_worker(&service, 8);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (worker, gate) = (worker.clone(), gate.clone());
            let guard = in_flight.enter().unwrap();
            actix::spawn(async move {
                let (reply, answer) = oneshot::channel();
                worker.send(Order::AnswerAfter(gate, reply), &person()).await.unwrap();
                let answered = answer.await.is_ok();
                drop(guard);
                answered
            })
        })
        .collect();
    eventually(|| worker.in_flight() == 8).await;
    shutdown.trigger();
    shutdown.signal().wait().await;
    let drain = actix::spawn({
        let in_flight = in_flight.clone();
        async move { in_flight.drained(DEADLINE).await }
    });
    eventually(|| in_flight.enter().is_none()).await;
    gate.add_permits(8);
    assert_eq!(drain.await.unwrap(), Ok(()));
    service.supervisor.stop();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    service.end();
}
