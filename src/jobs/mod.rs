//! Work that outlives its request: its files are spooled, its items worked off as bulk work, and what became of each is
//! stored with its effect. So a job goes on where a stop or a crash interrupted it, and does nothing twice.
//!
//! | module | holds |
//! |---|---|
//! | `spool`, `room` | the files of jobs, and how much of the disk they may hold |
//! | `roster` | people as CSV, however it is written |
//! | `archive`, `photos` | photos in a ZIP file, and whose they are |
//! | `import` | a roster with its photos, row by row |
//! | `recognise` | a group in many photos, one by one |
//! | `names` | what rows and photos are called while their files are there |
//! | `reading` | how many read such files at a time |
//! | `runner`, `places` | who works on which job, and when |
//! | `work` | a job that is worked on |
//!
//! The use cases of clients are in [`crate::service::jobs`].

mod archive;
mod desk;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod names;
mod photos;
mod places;
mod plan;
mod reading;
mod recognise;
mod room;
mod roster;
mod runner;
mod spool;
mod upload;
mod work;

pub use self::{
    archive::{Archive, FileTime},
    desk::{JobDesk, JobOptions},
    names::{ItemNames, RowNames, photo_names, row_names},
    photos::{PhotoFile, PhotoPlace},
    plan::{Checked, Named, Plan, PlannedRow, columns},
    reading::Readers,
    room::RoomRules,
    roster::{Roster, RosterConsent, RosterRow},
    runner::Runner,
    spool::{Incoming, PHOTOS, ROSTER, Spool, SpoolFile, image},
    upload::CheckedPhotos,
};
