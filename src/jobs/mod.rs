//! Work that outlives its request: its files are spooled, its items worked off as bulk work, and what became of each is
//! stored with its effect. So a job goes on where a stop or a crash interrupted it, and does nothing twice.
//!
//! | module | holds |
//! |---|---|
//! | `spool` | the files of jobs |
//! | `roster` | people as CSV |
//! | `archive`, `photos` | photos in a ZIP file, and whose they are |
//! | `import` | a roster with its photos, row by row |
//! | `recognise` | a group in many photos, one by one |
//! | `taken` | when a photo was taken |
//! | `runner` | who works on which job, and when |
//!
//! The use cases of clients are in [`crate::service::jobs`].

mod archive;
mod import;
mod photos;
mod recognise;
mod roster;
mod runner;
mod spool;
mod taken;

pub(crate) use self::taken::taken;
pub use self::{
    archive::Archive,
    import::{Checked, Plan, PlannedRow},
    photos::{PhotoFile, PhotoPlace},
    recognise::CheckedPhotos,
    roster::{Roster, RosterRow},
    runner::{JobDesk, JobOptions, Runner},
    spool::{Incoming, PHOTOS, ROSTER, Spool, SpoolFile, image},
};
