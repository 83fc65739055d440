//! What happened in a tenant, as its event log tells it: ids, never names.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{GroupId, PersonId, RecordId};
use error::Error;

/// One entry of a tenant's event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counted from 1 in each tenant, without gaps; an erased event leaves its number free for ever.
    pub id: u64,
    /// When it was written.
    pub time: Timestamp,
    /// What happened.
    pub what: Occurrence,
}

/// Something that happened. Added at the end only: the order is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Occurrence {
    /// Somebody was marked present.
    Marked {
        /// Where.
        group: GroupId,
        /// Who.
        person: PersonId,
        /// The attendance record.
        record: RecordId,
        /// The session's local date.
        date: Date,
        /// When they were seen.
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
        /// The attendance record, where a photo marked it.
        record: Option<RecordId>,
        /// The session's local date.
        date: Date,
        /// What it said, e.g. `present`; `None` where there was none.
        before: Option<String>,
        /// What it says; `None` where there is none any more.
        after: Option<String>,
    },
    /// A session of a group began.
    SessionOpened {
        /// Whose.
        group: GroupId,
        /// Which, as its routes name it.
        session: String,
        /// Its local date.
        date: Date,
    },
    /// A session of a group ended.
    SessionClosed {
        /// Whose.
        group: GroupId,
        /// Which, as its routes name it.
        session: String,
        /// Its local date.
        date: Date,
    },
    /// Faces were seen that nobody knows.
    UnknownSeen {
        /// Where.
        group: GroupId,
        /// In which session, as its routes name it.
        session: String,
        /// How many strangers are seen for the first time.
        faces: u32,
    },
}

/// The kind of an event, as clients ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody was marked present.
    Marked,
    /// A record was changed or taken back.
    Corrected,
    /// A session of a group began.
    SessionOpened,
    /// A session of a group ended.
    SessionClosed,
    /// How far a job has come.
    JobProgress,
    /// Faces were seen that nobody knows.
    UnknownSeen,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Marked, Self::Corrected, Self::SessionOpened, Self::SessionClosed, Self::JobProgress, Self::UnknownSeen];

    /// As clients write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Corrected => "corrected",
            Self::SessionOpened => "session_opened",
            Self::SessionClosed => "session_closed",
            Self::JobProgress => "job_progress",
            Self::UnknownSeen => "unknown_seen",
        }
    }
}

impl std::str::FromStr for EventKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("the kinds of events are {names}")).with_code("invalid_kind")
        })
    }
}

impl Occurrence {
    /// Its kind.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Marked { .. } => EventKind::Marked,
            Self::Corrected { .. } => EventKind::Corrected,
            Self::SessionOpened { .. } => EventKind::SessionOpened,
            Self::SessionClosed { .. } => EventKind::SessionClosed,
            Self::UnknownSeen { .. } => EventKind::UnknownSeen,
        }
    }

    /// The group that it is about.
    pub const fn group(&self) -> Option<&GroupId> {
        match self {
            Self::Marked { group, .. }
            | Self::Corrected { group, .. }
            | Self::SessionOpened { group, .. }
            | Self::SessionClosed { group, .. }
            | Self::UnknownSeen { group, .. } => Some(group),
        }
    }

    /// The person that it is about.
    pub const fn person(&self) -> Option<&PersonId> {
        match self {
            Self::Marked { person, .. } | Self::Corrected { person, .. } => Some(person),
            Self::SessionOpened { .. } | Self::SessionClosed { .. } | Self::UnknownSeen { .. } => None,
        }
    }

    /// The same about `other`, where it is about a person.
    #[must_use]
    pub fn about(mut self, other: &PersonId) -> Self {
        match &mut self {
            Self::Marked { person, .. } | Self::Corrected { person, .. } => person.clone_from(other),
            Self::SessionOpened { .. } | Self::SessionClosed { .. } | Self::UnknownSeen { .. } => {}
        }
        self
    }
}

/// Which events somebody wants and may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Of these kinds; of all if empty.
    pub kinds: Vec<EventKind>,
    /// About these groups alone; about anything if `None`.
    pub groups: Option<Vec<GroupId>>,
}

impl EventFilter {
    /// Whether an event of `kind` about `group` is one of them.
    pub fn admits(&self, kind: EventKind, group: Option<&GroupId>) -> bool {
        let is_of_group = |groups: &Vec<GroupId>| group.is_some_and(|group| groups.contains(group));
        (self.kinds.is_empty() || self.kinds.contains(&kind)) && self.groups.as_ref().is_none_or(is_of_group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_groups_admits_nothing_without_one() {
        let (own, other): (GroupId, GroupId) = ("g".parse().unwrap(), "h".parse().unwrap());
        let of_groups = EventFilter { kinds: Vec::new(), groups: Some(vec![own.clone()]) };
        assert!(of_groups.admits(EventKind::Marked, Some(&own)));
        assert!(!of_groups.admits(EventKind::Marked, Some(&other)) && !of_groups.admits(EventKind::JobProgress, None));
        let of_kinds = EventFilter { kinds: vec![EventKind::Marked], groups: None };
        assert!(of_kinds.admits(EventKind::Marked, Some(&other)) && !of_kinds.admits(EventKind::Corrected, None));
        assert!(EventFilter::default().admits(EventKind::JobProgress, None));
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.name().parse::<EventKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!("mark".parse::<EventKind>().unwrap_err().code(), "invalid_kind");
    }
}
