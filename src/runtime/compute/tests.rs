//! The pool with real threads: order, cancellation, containment and the reserved thread.

use std::{
    pin::pin,
    sync::{
        Condvar,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use futures_util::{FutureExt, future::join_all};
use tokio::time::timeout;

use super::{ServiceClass::*, *};
use crate::observe::Observer;

/// Far beyond what any of this takes; only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Heard {
    queued: AtomicUsize,
    worked: AtomicUsize,
    panicked: AtomicUsize,
}

impl Observer for Heard {
    fn queued(&self, _stage: &'static str, _waited: Duration) {
        self.queued.fetch_add(1, SeqCst);
    }

    fn worked(&self, _stage: &'static str, _took: Duration) {
        self.worked.fetch_add(1, SeqCst);
    }

    fn panicked(&self, _stage: &'static str) {
        self.panicked.fetch_add(1, SeqCst);
    }
}

fn pool_with(threads: usize, request: Duration, observer: Arc<Heard>) -> ComputePool {
    let threads = NonZeroUsize::new(threads).unwrap();
    // A key is awaited as long as it has a guard.
    let lingers = Lingers { request, step: FOREVER };
    ComputePool::new(ComputeOptions { threads, lingers, observer, rest: Rest::default() }).unwrap()
}

fn pool(threads: usize) -> ComputePool {
    pool_with(threads, Duration::ZERO, Arc::default())
}

fn job(class: ServiceClass, stage: &'static str, stage_rank: u8) -> JobSpec {
    job_of("key", class, stage, stage_rank)
}

fn job_of(key: &str, class: ServiceClass, stage: &'static str, stage_rank: u8) -> JobSpec {
    JobSpec { turn: Turn::new(class, key), stage, stage_rank, cancel: CancelToken::default() }
}

fn figures(pool: &ComputePool, stage: &str) -> ComputeSnapshot {
    pool.snapshot().into_iter().find(|snapshot| snapshot.stage == stage).unwrap()
}

/// Keeps one thread busy until the returned sender is dropped.
async fn occupy(pool: &ComputePool, class: ServiceClass) -> mpsc::Sender<()> {
    occupy_for("key", pool, class).await
}

async fn occupy_for(key: &'static str, pool: &ComputePool, class: ServiceClass) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let pool = pool.clone();
    actix::spawn(async move {
        let work = move || {
            begun.send(thread::current().name().map(str::to_owned)).unwrap();
            let _ = released.recv();
        };
        pool.run(job_of(key, class, "occupier", 0), work).await.unwrap();
    });
    timeout(DEADLINE, has_begun).await.unwrap().unwrap().unwrap();
    release
}

#[actix::test]
async fn waiting_tasks_start_by_class_then_later_stage_then_age() {
    let pool = pool(1);
    let busy = occupy(&pool, Bulk).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let specs = [(Bulk, 5), (Stream, 1), (Interactive, 1), (Bulk, 1), (Interactive, 3), (Interactive, 1), (Bulk, 5)];
    let mut tasks = Vec::new();
    for (index, (class, rank)) in specs.into_iter().enumerate() {
        let order = order.clone();
        let mut task = Box::pin(pool.run(job(class, "ordered", rank), move || lock(&order).push(index)));
        assert!(task.as_mut().now_or_never().is_none());
        tasks.push(task);
    }
    assert_eq!(figures(&pool, "ordered").queued, specs.len());
    drop(busy);
    for task in tasks {
        timeout(DEADLINE, task).await.unwrap().unwrap();
    }
    assert_eq!(*lock(&order), [4, 2, 5, 1, 0, 6, 3]);
}

/// Ten photos of one key wait at every stage, as many as there may be of a flood.
#[actix::test]
async fn a_keys_next_task_waits_for_one_of_a_flood_whatever_its_stage() {
    let pool = pool(1);
    let busy = occupy_for("flood", &pool, Interactive).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    let mut queue = |key: &'static str, rank: u8| {
        let order = order.clone();
        let mut task = Box::pin(pool.run(job_of(key, Interactive, "ordered", rank), move || lock(&order).push(key)));
        assert!(task.as_mut().now_or_never().is_none());
        tasks.push(task);
    };
    for number in 0..70 {
        queue("flood", number % 7);
    }
    for key in ["a", "b", "a"] {
        queue(key, 0);
    }
    drop(busy);
    for task in tasks {
        timeout(DEADLINE, task).await.unwrap().unwrap();
    }
    assert_eq!(lock(&order)[..5], ["flood", "a", "b", "flood", "a"]);
}

#[actix::test]
async fn the_last_thread_is_kept_from_a_flood_while_another_key_is_expected() {
    let pool = pool(2);
    let expected = pool.expect_interactive(&"other".into());
    let busy = occupy_for("flood", &pool, Interactive).await;
    let mut held_back = pin!(pool.run(job_of("flood", Interactive, "s", 6), || ()));
    let mut job = pin!(pool.run(job(Bulk, "s", 0), || ()));
    assert!(held_back.as_mut().now_or_never().is_none() && job.as_mut().now_or_never().is_none());
    for key in ["other", "third"].into_iter().cycle().take(20) {
        timeout(DEADLINE, pool.run(job_of(key, Interactive, "s", 0), || ())).await.unwrap().unwrap();
    }
    assert!(held_back.as_mut().now_or_never().is_none(), "the other comes back for its next step");
    assert!(job.as_mut().now_or_never().is_none(), "nor is it a job's");
    drop(expected);
    timeout(DEADLINE, held_back).await.unwrap().unwrap();
    drop(busy);
    timeout(DEADLINE, job).await.unwrap().unwrap();
}

#[actix::test]
async fn a_task_whose_caller_is_gone_never_starts_and_is_counted() {
    let pool = pool(1);
    let busy = occupy(&pool, Bulk).await;
    let started = Arc::new(AtomicUsize::new(0));
    let count = |started: &Arc<AtomicUsize>| {
        let started = started.clone();
        move || started.fetch_add(1, SeqCst)
    };
    let mut abandoned = Box::pin(pool.run(job(Bulk, "s", 0), count(&started)));
    assert!(abandoned.as_mut().now_or_never().is_none());
    drop(abandoned);
    assert_eq!((figures(&pool, "s").queued, figures(&pool, "s").dropped), (0, 1));
    assert_eq!(Arc::strong_count(&started), 1, "the closure leaves the queue with its caller");

    let spec = job(Bulk, "s", 0);
    let hung_up = spec.cancel.cancel_on_drop();
    let mut cancelled = pin!(pool.run(spec, count(&started)));
    assert!(cancelled.as_mut().now_or_never().is_none());
    drop(hung_up);
    drop(busy);
    assert_eq!(timeout(DEADLINE, cancelled).await.unwrap().unwrap_err(), ComputeError::Dropped);
    pool.run(job(Bulk, "s", 0), count(&started)).await.unwrap();
    assert_eq!(started.load(SeqCst), 1);
    assert_eq!((figures(&pool, "s").dropped, figures(&pool, "s").done), (2, 1));
}

#[actix::test]
async fn a_thousand_panics_stop_nothing() {
    let heard = Arc::new(Heard::default());
    let pool = pool_with(2, Duration::ZERO, heard.clone());
    let rebuilt = Arc::new(AtomicUsize::new(0));
    pool.on_panic("s", {
        let rebuilt = rebuilt.clone();
        move || {
            rebuilt.fetch_add(1, SeqCst);
            panic!("rebuilding fails too");
        }
    });
    let tasks = (0..2000).map(|n| {
        pool.run(job(Bulk, "s", 0), move || {
            assert!(n % 2 == 0, "odd");
            n
        })
    });
    let outcomes = timeout(DEADLINE, join_all(tasks)).await.unwrap();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(timed) => assert_eq!((timed.value, n % 2), (n, 0)),
            Err(error) => assert_eq!((error, n % 2), (ComputeError::Panicked, 1)),
        }
    }
    let figures = figures(&pool, "s");
    assert_eq!((figures.done, figures.panicked, figures.running, figures.queued), (1000, 1000, 0, 0));
    assert_eq!(rebuilt.load(SeqCst), 1000);
    assert_eq!(heard.panicked.load(SeqCst), 1000);
    assert_eq!((heard.queued.load(SeqCst), heard.worked.load(SeqCst)), (2000, 2000));
}

/// Runs bulk tasks that meet each other, which takes both threads at once.
async fn two_bulk_tasks_meet(pool: &ComputePool) -> bool {
    let (left, right) = (mpsc::channel::<()>(), mpsc::channel::<()>());
    let meet = |tell: mpsc::Sender<()>, hear: mpsc::Receiver<()>| {
        move || {
            let _ = tell.send(());
            hear.recv_timeout(DEADLINE).is_ok()
        }
    };
    let first = pool.run(job(Bulk, "bulk", 0), meet(left.0, right.1));
    let second = pool.run(job(Bulk, "bulk", 0), meet(right.0, left.1));
    let (first, second) = tokio::join!(first, second);
    first.unwrap().value && second.unwrap().value
}

#[actix::test]
async fn one_thread_is_kept_for_interactive_work_while_some_may_come() {
    let pool = pool_with(2, Duration::ZERO, Arc::default());
    assert!(two_bulk_tasks_meet(&pool).await, "without interactive work both threads do bulk");

    let guard = pool.expect_interactive(&"key".into());
    let busy = occupy(&pool, Bulk).await;
    let mut held_back = pin!(pool.run(job(Bulk, "bulk", 0), || thread::current().name().map(str::to_owned)));
    assert!(held_back.as_mut().now_or_never().is_none());
    for _ in 0..20 {
        let name = || thread::current().name().map(str::to_owned);
        let ran = timeout(DEADLINE, pool.run(job(Interactive, "portrait", 0), name)).await.unwrap().unwrap();
        assert_eq!(ran.value.as_deref(), Some("compute-0"));
    }
    assert!(held_back.as_mut().now_or_never().is_none(), "the free thread must not take bulk work");
    drop(guard);
    let ran = timeout(DEADLINE, held_back).await.unwrap().unwrap();
    assert_eq!(ran.value.as_deref(), Some("compute-0"), "and takes it once nothing is expected");
    drop(busy);
}

#[actix::test]
async fn the_reservation_lingers_and_then_ends_by_itself() {
    let pool = pool_with(2, FOREVER, Arc::default());
    pool.run(job(Interactive, "portrait", 0), || ()).await.unwrap();
    let busy = occupy(&pool, Bulk).await;
    let mut held_back = Box::pin(pool.run(job(Bulk, "bulk", 0), || ()));
    assert!(timeout(Duration::from_millis(50), held_back.as_mut()).await.is_err());
    drop(busy);
    timeout(DEADLINE, held_back).await.unwrap().unwrap();

    let short = pool_with(2, Duration::from_millis(20), Arc::default());
    drop(short.expect_interactive(&"key".into()));
    assert!(two_bulk_tasks_meet(&short).await, "the reserved thread wakes when the moment has passed");
}

#[actix::test]
async fn scattered_items_come_back_in_order_and_one_panic_fails_the_whole() {
    let pool = pool(2);
    let chunk = NonZeroUsize::new(7).unwrap();
    let double = |chunk: Vec<usize>| chunk.into_iter().map(|n| 2 * n).collect();
    let gathered = pool.scatter(job(Bulk, "s", 0), (0..100).collect(), chunk, double).await.unwrap();
    assert_eq!(gathered.value, (0..100).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(figures(&pool, "s").done, 15);

    let empty = pool.scatter(job(Bulk, "s", 0), Vec::new(), chunk, double).await.unwrap();
    assert!(empty.value.is_empty());

    let poisoned = |chunk: Vec<usize>| {
        assert!(!chunk.contains(&50), "poison");
        chunk
    };
    let failed = pool.scatter(job(Bulk, "s", 0), (0..100).collect(), chunk, poisoned).await;
    assert_eq!(failed.unwrap_err(), ComputeError::Panicked);
    pool.run(job(Bulk, "s", 0), || ()).await.unwrap();
}

#[actix::test]
async fn shutting_down_finishes_what_runs_and_refuses_the_rest() {
    let pool = pool(1);
    let busy = occupy(&pool, Bulk).await;
    let mut waiting = pin!(pool.run(job(Bulk, "s", 0), || ()));
    assert!(waiting.as_mut().now_or_never().is_none());
    let ending = thread::spawn({
        let pool = pool.clone();
        move || pool.shut_down()
    });
    assert_eq!(timeout(DEADLINE, waiting).await.unwrap().unwrap_err(), ComputeError::ShuttingDown);
    drop(busy);
    ending.join().unwrap();
    assert_eq!(pool.run(job(Bulk, "s", 0), || ()).await.unwrap_err(), ComputeError::ShuttingDown);
    assert_eq!(figures(&pool, "occupier").done, 1);
}

#[actix::test]
async fn the_last_handle_may_go_on_a_compute_thread() {
    let pool = pool(1);
    let busy = occupy(&pool, Bulk).await;
    let (gone, is_gone) = mpsc::channel();
    actix::spawn({
        let pool = pool.clone();
        let inside = pool.clone();
        async move {
            let work = move || {
                drop(inside);
                gone.send(()).unwrap();
            };
            let _ = pool.run(job(Bulk, "s", 0), work).await;
        }
    });
    tokio::task::yield_now().await;
    drop((pool, busy));
    let heard = actix::spawn(async move { crate::spawn_blocking(move || is_gone.recv_timeout(DEADLINE)).await });
    timeout(DEADLINE, heard).await.unwrap().unwrap().unwrap().unwrap();
}

#[actix::test]
async fn a_thread_rests_once_after_its_last_task() {
    static RESTED: Mutex<usize> = Mutex::new(0);
    static CHANGED: Condvar = Condvar::new();
    let rest = || {
        *lock(&RESTED) += 1;
        CHANGED.notify_all();
    };
    let pool = ComputePool::new(ComputeOptions {
        threads: NonZeroUsize::MIN,
        lingers: Lingers::default(),
        observer: Arc::new(Heard::default()),
        rest: Rest { after: Duration::ZERO, call: rest },
    })
    .unwrap();
    for task in 1..=3 {
        pool.run(job(Bulk, "s", 0), || ()).await.unwrap();
        let rested = CHANGED.wait_timeout_while(lock(&RESTED), DEADLINE, |rested| *rested < task).unwrap().0;
        assert_eq!(*rested, task);
    }
}
