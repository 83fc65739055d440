//! Work that outlives its request: its files are spooled, its items worked off as bulk work, and what became of each is
//! stored with its effect. So a job goes on where a stop or a crash interrupted it, and does nothing twice.
//!
//! | module | holds |
//! |---|---|
//! | `spool` | the files of jobs |
//! | `roster` | people as CSV |
//! | `archive`, `photos` | photos in a ZIP file, and whose they are |
//! | `import` | a roster with its photos, row by row |
//! | `runner` | who works on which job, and when |
//!
//! The use cases of clients are in [`crate::service::jobs`].

mod archive;
mod import;
mod photos;
mod roster;
mod runner;
mod spool;

pub use self::{
    archive::Archive,
    import::Checked,
    photos::{PhotoFile, PhotoPlace},
    roster::{Roster, RosterRow},
    runner::{JobDesk, JobOptions, Runner},
    spool::{Incoming, PHOTOS, ROSTER, Spool, SpoolFile},
};
