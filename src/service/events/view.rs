//! An event as clients see it, and as webhooks are sent it.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Event, EventKind, GroupId, Occurrence, PersonId, RecordId};

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Its number in the tenant; later events have greater ones.
    pub id: u64,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

impl EventView {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self.what {
            What::Marked { .. } => EventKind::Marked,
            What::Corrected { .. } => EventKind::Corrected,
            What::SessionOpened { .. } => EventKind::SessionOpened,
            What::SessionClosed { .. } => EventKind::SessionClosed,
            What::UnknownSeen { .. } => EventKind::UnknownSeen,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Somebody was marked present.
    Marked {
        /// Where.
        group: GroupId,
        /// Who.
        person: PersonId,
        /// The attendance record.
        record: RecordId,
        /// The session's local date.
        #[schema(value_type = String, format = Date)]
        date: Date,
        /// When they were seen.
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
        /// Raw cosine of the face to the person's best sample.
        similarity: f32,
    },
    /// A record was changed or taken back.
    Corrected {
        /// Where.
        group: GroupId,
        /// Whose.
        person: PersonId,
        /// The attendance record; null where it has no id, as no photo marked it.
        record: Option<RecordId>,
        /// The session's local date.
        #[schema(value_type = String, format = Date)]
        date: Date,
        /// What it said; null where there was none.
        before: Option<String>,
        /// What it says; null where it is gone.
        after: Option<String>,
    },
    /// A session of a group began.
    SessionOpened {
        /// Whose.
        group: GroupId,
        /// Which.
        session: String,
        /// Its local date.
        #[schema(value_type = String, format = Date)]
        date: Date,
    },
    /// A session of a group ended.
    SessionClosed {
        /// Whose.
        group: GroupId,
        /// Which.
        session: String,
        /// Its local date.
        #[schema(value_type = String, format = Date)]
        date: Date,
    },
    /// Faces were seen that nobody knows.
    UnknownSeen {
        /// Where.
        group: GroupId,
        /// In which session.
        session: String,
        /// How many strangers are seen for the first time.
        faces: u32,
    },
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let Event { id, time, what } = event;
        let what = match what {
            Occurrence::Marked { group, person, record, date, at, similarity } => {
                What::Marked { group, person, record, date, at, similarity }
            }
            Occurrence::Corrected { group, person, record, date, before, after } => {
                What::Corrected { group, person, record, date, before, after }
            }
            Occurrence::SessionOpened { group, session, date } => What::SessionOpened { group, session, date },
            Occurrence::SessionClosed { group, session, date } => What::SessionClosed { group, session, date },
            Occurrence::UnknownSeen { group, session, faces } => What::UnknownSeen { group, session, faces },
        };
        Self { id, time, what }
    }
}
