//! Plain types and the attendance rules: no I/O, no clock, no locks.

pub mod access;
pub mod assignment;
pub mod attendance;
pub mod audit;
pub mod calibration;
pub mod consent;
pub mod decision;
pub mod enrolment;
pub mod event;
pub mod face;
pub mod gallery;
pub mod group;
pub mod hint;
pub mod ids;
pub mod job;
pub mod kept_photo;
pub mod matching;
pub mod metadata;
pub mod moment;
pub mod negative;
pub mod person;
pub mod readable_id;
pub mod right;
pub mod roster;
pub mod rules;
pub mod session;
pub mod stranger;
pub mod tenant;
pub mod timetable;
pub mod turned;
pub mod wall;
pub mod webhook;
pub mod words;

pub use access::{Access, Actor, Grant, Permission, Realm, Role, unauthenticated};
pub use attendance::{AttendanceRecord, Mark};
pub use audit::Author;
pub use consent::{Consent, ConsentPolicy, ConsentState, LegalBasis};
pub use decision::{Attribution, Decision};
pub use enrolment::{DuplicatePolicy, EnrolmentPolicy, FaceChoice, QualityGate};
pub use event::{Event, EventFilter, EventKind, JobProgress, Occurrence};
pub use face::{Detection, FaceBox, FaceSample, HeadPose, Landmarks, LivenessVerdict, ModelId, Quality};
pub use gallery::GalleryPlan;
pub use group::Group;
pub use hint::Hint;
pub use ids::{
    BackupId, ErasureId, FaceId, GroupId, GroupSessionId, JobId, KeyId, PersonId, PhotoId, Pseudonym, RecordId,
    SessionId, StrangerId, TenantId, UserId, WebhookId,
};
pub use job::{
    ImportOptions, ItemReport, Job, JobState, JobTask, Leavers, LeaversIn, PhotoReport, RecogniseOptions, RosterColumn,
    RowGroups, RowOutcome, RowReport,
};
pub use kept_photo::{KeptPhoto, PhotoFile, PhotoForm, PhotoKey, PhotoPolicy, PhotoRules};
pub use matching::{Candidate, Likeness, NamingRules, UnknownReason};
pub use metadata::{Metadata, MetadataPatch};
pub use negative::Negative;
pub use person::Person;
pub use right::{Right, Shown};
pub use rules::{
    Rules,
    judge::{RecordState, Status},
    sighting::{Sighting, TimeTrust},
};
pub use session::{GroupSession, SessionOrigin, SessionState};
pub use stranger::Stranger;
pub use tenant::{Amounts, MatchingSettings, PhotosOfDay, Quotas, Standing, Tenant, TenantScope, TenantSettings};
pub use timetable::Timetable;
pub use turned::Turned;
pub use webhook::{DeadLetter, Delivery, Replay, Webhook};
