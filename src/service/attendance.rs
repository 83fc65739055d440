//! The attendance of a group, and undoing a mark.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Service;
use crate::{
    domain::{AttendanceRecord, GroupId, LivenessVerdict, PersonId, RecordId, TenantScope},
    error::Result,
};

/// One person marked present, with the sighting that did it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// The record; DELETE it to undo the mark.
    pub id: RecordId,
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// When they were seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Raw cosine of the face to the person's best sample.
    pub similarity: f32,
    /// Lead over the next person; null when there was none.
    pub margin: Option<f32>,
    /// Width of the face in pixels.
    pub width_px: f32,
    /// The liveness verdict, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// The network that recognised the face.
    pub model: String,
}

/// The attendance of a group on one local day.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttendanceView {
    /// Where.
    pub group: GroupId,
    /// The local date.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// In the order of their times.
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
        let people = records.iter().map(|record| record.person.clone()).collect();
        let names = self.store.names(scope, people).await?;
        let records = records.into_iter().zip(names).map(|(record, name)| view(record, name)).collect();
        Ok(AttendanceView { group: group.clone(), date, records })
    }

    /// Undoes a mark; the person can be marked again.
    ///
    /// # Errors
    /// `NotFound` if the group has no such record.
    pub async fn undo_mark(&self, scope: &TenantScope, group: &GroupId, record: RecordId) -> Result<()> {
        self.store.undo_mark(scope, group, record).await.map(drop)
    }
}

pub(super) fn view(record: AttendanceRecord, name: Option<String>) -> RecordView {
    RecordView {
        id: record.id,
        person: record.person,
        name,
        at: record.at,
        similarity: record.similarity,
        margin: record.margin,
        width_px: record.width_px,
        liveness: record.liveness,
        model: record.model.name.to_string(),
    }
}
