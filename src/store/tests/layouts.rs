//! The layout of every record, as the store's version stands for it.

use super::on_sled::*;
use crate::store::{codec::Record, open::FORMAT_VERSION};

/// Kind and version of a record's layout.
fn layout<R: Record>() -> (u8, u8) {
    (R::KIND, R::VERSION)
}

/// Whoever changes one of these raises [`FORMAT_VERSION`] and writes a step in `store::migrations`: an older program then
/// refuses the store at its start, and not at the first record that it cannot read.
#[test]
fn a_record_of_another_layout_is_another_version_of_the_store() {
    let layouts = [
        layout::<crate::store::open::Format>(),
        layout::<Tenant>(),
        layout::<crate::domain::TenantSettings>(),
        layout::<crate::domain::Amounts>(),
        layout::<crate::domain::PhotosOfDay>(),
        layout::<ApiKey>(),
        layout::<crate::store::User>(),
        layout::<crate::store::Session>(),
        layout::<Group>(),
        layout::<PersonId>(),
        layout::<crate::domain::GroupId>(),
        layout::<crate::domain::roster::Member>(),
        layout::<Person>(),
        layout::<Pseudonym>(),
        layout::<FaceSample>(),
        layout::<crate::domain::Negative>(),
        layout::<crate::domain::KeptPhoto>(),
        layout::<crate::domain::PhotoKey>(),
        layout::<AttendanceRecord>(),
        layout::<crate::store::attendance::Place>(),
        layout::<crate::domain::GroupSession>(),
        layout::<crate::domain::GroupSessionId>(),
        layout::<crate::domain::Timetable>(),
        layout::<crate::store::timetables::Holidays>(),
        layout::<crate::domain::Stranger>(),
        layout::<crate::store::sheets::Block>(),
        layout::<crate::domain::Event>(),
        layout::<crate::store::events::Numbers>(),
        layout::<Webhook>(),
        layout::<crate::domain::Job>(),
        layout::<crate::store::jobs::KeptReport>(),
        layout::<crate::domain::audit::Entry>(),
        layout::<crate::domain::audit::Head>(),
        layout::<crate::store::KeptAnswer>(),
        layout::<crate::store::Backup>(),
        layout::<crate::store::Erasure>(),
    ];
    let of_version_7 = [
        (0, 1),
        (1, 2),
        (10, 3),
        (11, 1),
        (30, 1),
        (2, 3),
        (41, 1),
        (42, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (80, 2),
        (6, 2),
        (13, 1),
        (7, 1),
        (32, 1),
        (33, 1),
        (34, 1),
        (8, 2),
        (9, 1),
        (81, 2),
        (82, 1),
        (83, 1),
        (84, 1),
        (85, 2),
        (90, 1),
        (70, 1),
        (71, 1),
        (73, 1),
        (76, 2),
        (77, 3),
        (61, 1),
        (60, 1),
        (31, 1),
        (52, 2),
        (50, 1),
    ];
    assert_eq!((FORMAT_VERSION, layouts), (7, of_version_7));
}
