//! Actor plumbing, with no word about what flows through it.
//!
//! A [`Supervisor`] keeps [`Stage`]s alive, each behind a bounded inbox that only a [`StageSender`] reaches.

pub mod clock;
mod compute;
mod health;
mod inbox;
mod lock;
mod observe;
mod panics;
mod restart;
mod stage;
mod supervisor;

pub use clock::{Clock, ManualClock, SystemClock};
pub use compute::{
    CancelOnDrop, CancelToken, ComputeError, ComputeOptions, ComputePool, ComputeSnapshot, InteractiveGuard, JobSpec,
    ServiceClass, Timed,
};
pub use health::{Health, HealthReport};
pub use inbox::{SendFailed, StageSender, TrySendFailed};
pub use observe::{LastError, NoObserver, Observer, StageSnapshot, StageStatus};
pub use restart::{RestartCause, RestartPolicy};
pub use stage::{Stage, StageContext, StageSpec};
pub use supervisor::{Supervisor, SupervisorOptions};
