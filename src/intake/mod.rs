//! What comes as files, for jobs: spooled to the disk, looked through and read.
//!
//! | module | holds |
//! |---|---|
//! | `spool`, `room` | the files of jobs, and how much of the disk they may hold |
//! | `roster` | people as CSV or a workbook, however it is written |
//! | `archive`, `photos` | photos in a ZIP file, and whose they are |
//! | `plan` | a roster with its photos, row by row |
//! | `upload` | all photos of a job |
//! | `names` | what rows and photos are called while their files are there |
//! | `reading` | how many read such files at a time |

mod archive;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod names;
mod photos;
mod plan;
mod reading;
mod room;
mod roster;
mod spool;
mod upload;

pub use self::{
    archive::{Archive, FileTime},
    names::{ItemNames, RowNames, photo_names, row_names},
    photos::{PhotoFile, PhotoPlace},
    plan::{Checked, Named, Plan, PlannedRow, columns},
    reading::Readers,
    room::RoomRules,
    roster::{Roster, RosterConsent, RosterRow},
    spool::{Incoming, PHOTOS, ROSTER, Spool, SpoolFile, image},
    upload::{CheckedPhotos, Numbered, numbered_photos},
};
