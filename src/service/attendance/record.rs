//! The attendance of a group on a day, and taking a mark back.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        GroupId, GroupSessionId, LivenessVerdict, PersonId, RecordId, RecordState, Status, TenantScope,
        attendance::{record::Appeal, rules::judge::Verdict},
    },
    error::Result,
    service::attendance::Service,
    store::SessionRecord,
};

/// One person in one session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// The record; DELETE it to take a mark back. Null for who is absent and was never seen nor corrected.
    pub id: Option<RecordId>,
    /// In which session.
    pub session: GroupSessionId,
    /// What that is about.
    pub session_title: Option<String>,
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// What counts.
    pub status: Status,
    /// How it is known.
    pub state: RecordState,
    /// When they were first seen; null for who was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// When they were last seen.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// Minutes after the start, for who is late.
    pub late_minutes: u32,
    /// Minutes before the end, for who left early.
    pub early_minutes: u32,
    /// Raw cosine of their best face to their best sample.
    pub similarity: Option<f32>,
    /// Its lead over the next person; null when there was none.
    pub margin: Option<f32>,
    /// Its width in pixels.
    pub width_px: Option<f32>,
    /// Its liveness verdict, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// The network that recognised it.
    pub model: Option<String>,
    /// Why it was set by hand.
    pub reason: Option<String>,
    /// What the person has to say to it.
    pub appeal: Option<Appeal>,
}

/// The attendance of a group on one local day.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttendanceView {
    /// Where.
    pub group: GroupId,
    /// The local date.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// By start of the session, then by time.
    pub records: Vec<RecordView>,
}

impl Service {
    /// The records of a group on `date`, or today where the group is.
    pub async fn attendance(&self, scope: &TenantScope, group: &GroupId, date: Option<Date>) -> Result<AttendanceView> {
        let found = self.store.group(scope, group).await?;
        let date = match date {
            Some(date) => date,
            None => found.local_date(self.clock.now())?,
        };
        let records = self.store.attendance(scope, group, date).await?;
        Ok(AttendanceView { group: group.clone(), date, records: records.iter().map(view).collect() })
    }

    /// Takes a mark back with its evidence; the person can be marked again.
    ///
    /// # Errors
    /// `NotFound` if the group has no such record, `Conflict` `session_closed`.
    pub async fn undo_mark(&self, scope: &TenantScope, group: &GroupId, record: RecordId) -> Result<()> {
        self.store.undo_mark(scope, group, record).await.map(drop)
    }
}

/// What every door shows of a record.
pub(in crate::service) fn view(SessionRecord { session, record, name }: &SessionRecord) -> RecordView {
    let best = record.best_sighting();
    let Verdict { state, status, first_seen, last_seen, late_minutes, early_minutes } = record.verdict;
    RecordView {
        id: record.id,
        session: record.session,
        session_title: session.title.clone(),
        person: record.person.clone(),
        name: name.clone(),
        status,
        state,
        at: first_seen,
        last_seen,
        late_minutes,
        early_minutes,
        similarity: best.map(|best| best.similarity),
        margin: best.and_then(|best| best.margin),
        width_px: best.map(|best| best.width_px),
        liveness: best.and_then(|best| best.liveness),
        model: best.map(|best| best.model.name.to_string()),
        reason: record.corrections.last().and_then(|correction| correction.reason.clone()),
        appeal: record.appeal.clone(),
    }
}
