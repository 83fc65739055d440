//! Planted faults for the supervision tests: a panic or a wait at a named point.
//!
//! A registry belongs to one service, so services in one process do not disturb each other. Points are named
//! `<stage>.work` (inside the compute task) and `<stage>.actor` (inside the actor's handler, where a panic kills the
//! actor); `job.report` lies between the marks of a job's photo and its report, `photos.written` between the files of kept
//! photos and their records, `door.permitted` between a request's rights and all that it does. Without debug assertions, as in a
//! release, a registry is empty and hitting a point does nothing.

#[cfg(not(debug_assertions))]
pub use disabled::Faults;
#[cfg(debug_assertions)]
pub use enabled::{Faults, Gate};

#[cfg(not(debug_assertions))]
mod disabled {
    /// See the module.
    #[derive(Debug, Clone, Default)]
    pub struct Faults(());

    impl Faults {
        /// Does nothing.
        #[inline]
        pub fn hit(&self, _point: &str) {}

        /// Does nothing.
        #[inline]
        #[expect(clippy::unused_async, reason = "the same signature as with faults")]
        pub async fn hit_async(&self, _point: &str) {}
    }
}

#[cfg(debug_assertions)]
mod enabled {
    use std::{
        collections::HashMap,
        sync::{Arc, Condvar, Mutex, PoisonError},
    };

    use tokio::sync::Notify;

    use crate::lock::lock;

    /// See the module. Clones share the planted faults.
    #[derive(Debug, Clone, Default)]
    pub struct Faults {
        registry: Arc<Registry>,
    }

    #[derive(Debug, Default)]
    struct Registry {
        points: Mutex<HashMap<String, Point>>,
        /// Something changed, for threads.
        changed: Condvar,
        /// Something changed, for futures.
        changed_async: Notify,
    }

    #[derive(Debug, Default)]
    struct Point {
        panics_left: usize,
        gates: usize,
        /// Whether the gates hold nobody but those who wait already.
        is_passed_by_others: bool,
        waiting: usize,
    }

    impl Faults {
        /// The next `times` hits of `point` panic.
        pub fn panic_times(&self, point: &str, times: usize) {
            self.change(point, |point| point.panics_left = times);
        }

        /// Hits of `point` wait until the gate is dropped.
        pub fn block(&self, point: &str) -> Gate {
            self.change(point, |point| point.gates += 1);
            Gate { faults: self.clone(), point: point.to_owned() }
        }

        /// How many wait at `point` at the moment.
        pub fn waiting_at(&self, point: &str) -> usize {
            lock(&self.registry.points).get(point).map_or(0, |point| point.waiting)
        }

        /// Passes `point`: waits on this thread while it is blocked, then panics if a panic is planted.
        pub fn hit(&self, point: &str) {
            if self.stops(point) {
                self.change(point, |point| point.waiting += 1);
                let mut points = lock(&self.registry.points);
                while points.get(point).is_some_and(|point| point.gates > 0) {
                    points = self.registry.changed.wait(points).unwrap_or_else(PoisonError::into_inner);
                }
                drop(points);
                self.change(point, |point| point.waiting -= 1);
            }
            self.panic_if_planted(point);
        }

        /// Passes `point` like [`hit`](Self::hit), without holding the thread while it waits.
        pub async fn hit_async(&self, point: &str) {
            if self.stops(point) {
                let _waiting = Waiting::begin(self, point);
                loop {
                    let changed = self.registry.changed_async.notified();
                    if !self.is_blocked(point) {
                        break;
                    }
                    changed.await;
                }
            }
            self.panic_if_planted(point);
        }

        /// Whether a hit has to wait.
        fn stops(&self, point: &str) -> bool {
            lock(&self.registry.points).get(point).is_some_and(|point| point.gates > 0 && !point.is_passed_by_others)
        }

        /// Whether one that waits goes on waiting.
        fn is_blocked(&self, point: &str) -> bool {
            lock(&self.registry.points).get(point).is_some_and(|point| point.gates > 0)
        }

        fn panic_if_planted(&self, point: &str) {
            let mut points = lock(&self.registry.points);
            let planted = points.get_mut(point).is_some_and(|point| {
                let planted = point.panics_left > 0;
                point.panics_left -= usize::from(planted);
                planted
            });
            drop(points);
            #[expect(clippy::manual_assert, reason = "a planted panic is no check")]
            if planted {
                panic!("planted at {point}");
            }
        }

        fn change(&self, point: &str, change: impl FnOnce(&mut Point)) {
            change(lock(&self.registry.points).entry(point.to_owned()).or_default());
            self.registry.changed.notify_all();
            self.registry.changed_async.notify_waiters();
        }
    }

    /// A waiting future, which may be dropped while it waits.
    struct Waiting<'a> {
        faults: &'a Faults,
        point: &'a str,
    }

    impl<'a> Waiting<'a> {
        fn begin(faults: &'a Faults, point: &'a str) -> Self {
            faults.change(point, |point| point.waiting += 1);
            Self { faults, point }
        }
    }

    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            self.faults.change(self.point, |point| point.waiting -= 1);
        }
    }

    /// Keeps a point blocked until it is dropped.
    #[derive(Debug)]
    #[must_use = "dropping the gate lets everybody pass"]
    pub struct Gate {
        faults: Faults,
        point: String,
    }

    impl Gate {
        /// Lets later hits pass; those that wait go on waiting.
        pub fn hold_only_those_present(&self) {
            self.faults.change(&self.point, |point| point.is_passed_by_others = true);
        }
    }

    impl Drop for Gate {
        fn drop(&mut self) {
            self.faults.change(&self.point, |point| {
                point.gates -= 1;
                point.is_passed_by_others &= point.gates > 0;
            });
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::{panic, pin::pin, thread};

    use futures_util::FutureExt;

    use super::Faults;

    #[test]
    fn a_point_panics_as_often_as_told_and_only_in_its_own_registry() {
        let faults = Faults::default();
        faults.panic_times("decode.work", 2);
        let hit = |faults: Faults| panic::catch_unwind(panic::AssertUnwindSafe(|| faults.hit("decode.work"))).is_err();
        assert!(!hit(Faults::default()));
        assert_eq!([hit(faults.clone()), hit(faults.clone()), hit(faults.clone())], [true, true, false]);
    }

    #[test]
    fn a_gate_holds_a_thread_until_it_is_dropped() {
        let faults = Faults::default();
        let gate = faults.block("detect.work");
        let blocked = thread::spawn({
            let faults = faults.clone();
            move || faults.hit("detect.work")
        });
        while faults.waiting_at("detect.work") == 0 {
            thread::yield_now();
        }
        assert!(!blocked.is_finished());
        faults.hit("embed.work");
        drop(gate);
        blocked.join().unwrap();
        assert_eq!(faults.waiting_at("detect.work"), 0);
    }

    #[test]
    fn a_gate_holds_a_future_until_the_last_gate_is_dropped() {
        let faults = Faults::default();
        let gates = (faults.block("p"), faults.block("p"));
        let mut hit = pin!(faults.hit_async("p"));
        assert!(hit.as_mut().now_or_never().is_none());
        assert_eq!(faults.waiting_at("p"), 1);
        drop(gates.0);
        assert!(hit.as_mut().now_or_never().is_none());
        drop(gates.1);
        assert!(hit.as_mut().now_or_never().is_some());
        assert_eq!(faults.waiting_at("p"), 0);
    }

    #[test]
    fn a_gate_may_hold_those_alone_who_wait_already() {
        let faults = Faults::default();
        let gate = faults.block("p");
        let mut first = pin!(faults.hit_async("p"));
        assert!(first.as_mut().now_or_never().is_none());
        gate.hold_only_those_present();
        assert!(faults.hit_async("p").now_or_never().is_some() && first.as_mut().now_or_never().is_none());
        drop(gate);
        assert!(first.as_mut().now_or_never().is_some());
        let _gate = faults.block("p");
        assert!(faults.hit_async("p").now_or_never().is_none(), "another holds everybody again");
    }
}
