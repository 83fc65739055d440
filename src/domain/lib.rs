//! Plain types and the attendance rules: no I/O, no clock, no locks.

pub mod access;
pub mod attendance;
pub mod events;
pub mod ids;
pub mod jobs;
pub mod moment;
pub mod people;
pub mod recognition;
pub mod wall;

pub use access::right::Author;
pub use access::right::{Right, Shown};
pub use access::tenant::{
    Amounts, MatchingSettings, PhotosOfDay, Quotas, Standing, Tenant, TenantScope, TenantSettings,
};
pub use access::{
    actor::{Actor, Realm},
    roles::{Access, Grant, Permission, Role, unauthenticated},
};
pub use attendance::group::Group;
pub use attendance::record::{AttendanceRecord, Mark};
pub use attendance::rules::{
    Rules,
    judge::{RecordState, Status},
    sighting::{Sighting, TimeTrust},
};
pub use attendance::session::{GroupSession, SessionOrigin, SessionState};
pub use attendance::stranger::Stranger;
pub use attendance::timetable::Timetable;
pub use events::webhook::{DeadLetter, Delivery, Replay, Webhook};
pub use ids::{
    BackupId, ErasureId, FaceId, GroupId, GroupSessionId, JobId, KeyId, PersonId, PhotoId, Pseudonym, RecordId,
    SessionId, StrangerId, TenantId, UserId, WebhookId,
};
pub use jobs::{
    ImportOptions, ItemReport, Job, JobState, JobTask, Leavers, LeaversIn, PhotoReport, RecogniseOptions, RosterColumn,
    RowGroups, RowOutcome, RowReport,
};
pub use people::consent::{Consent, ConsentPolicy, ConsentState, LegalBasis};
pub use people::enrolment::{DuplicatePolicy, EnrolmentPolicy, FaceChoice, QualityGate};
pub use people::kept_photo::{KeptPhoto, PhotoFile, PhotoForm, PhotoKey, PhotoPolicy, PhotoRules};
pub use people::metadata::{Metadata, MetadataPatch};
pub use people::negative::Negative;
pub use people::person::Person;
pub use recognition::decision::{Attribution, Decision};
pub use recognition::face::{Detection, FaceBox, FaceSample, HeadPose, Landmarks, LivenessVerdict, ModelId, Quality};
pub use recognition::gallery::GalleryPlan;
pub use recognition::hint::Hint;
pub use recognition::matching::{Candidate, Likeness, NamingRules, UnknownReason};
pub use recognition::turned::Turned;
pub use {
    events::event::{Event, EventFilter, EventKind, Occurrence},
    jobs::JobProgress,
};
