//! Actor plumbing, with no word about what flows through it.
//!
//! A [`Supervisor`] keeps [`Stage`]s alive, each behind a bounded inbox that only a [`StageSender`] reaches; stages
//! send their CPU work to the one [`ComputePool`]. A [`ByteBudget`] bounds memory at the door, [`Shutdown`] and
//! [`InFlight`] end the service in order, [`Health`] says whether it can work, and snapshots say what it is doing.

mod blocking;
mod budget;
mod clock;
mod compute;
pub mod disk;
mod faults;
mod health;
mod host;
mod inbox;
mod line;
mod local_socket;
mod lock;
mod observe;
mod panics;
mod restart;
mod shutdown;
mod signals;
mod stage;
mod supervisor;
#[cfg(test)]
mod tests;
mod turnstile;

pub use blocking::spawn_blocking;
pub use budget::{BudgetLimits, ByteBudget, Exhausted, Reservation};
pub use clock::{Clock, ManualClock, SystemClock};
pub use compute::{
    CancelOnDrop, CancelToken, ComputeError, ComputeOptions, ComputePool, ComputeSnapshot, InteractiveGuard, JobSpec,
    Lingers, Rest, Timed,
};
pub use faults::Faults;
#[cfg(debug_assertions)]
pub use faults::Gate;
pub use health::{Health, HealthReport};
pub use host::{host_name, own_addresses, reachable_addresses};
pub use inbox::{SendFailed, StageSender, TrySendFailed};
pub use line::{ServiceClass, Turn};
pub use local_socket::{Listening, LocalSocket, is_owner_or_root};
pub use observe::{LastError, NoObserver, Observer, StageSnapshot, StageStatus};
pub use panics::{PanicSite, contain};
pub use restart::{RestartCause, RestartPolicy};
pub use shutdown::{InFlight, InFlightGuard, Shutdown, ShutdownSignal, StillInFlight};
pub use signals::{Ending, Signals, listen_for_signals};
pub use stage::{Stage, StageContext, StageSpec};
pub use supervisor::{Supervisor, SupervisorOptions};
pub use turnstile::{NoPlace, Permit, Turnstile};
