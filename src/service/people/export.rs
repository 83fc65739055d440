//! Everything that is stored of one person, for the person who asks.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    negatives::NegativeView,
    person::{PersonView, SampleView},
    photos::PhotoView,
};
use crate::{
    domain::{FaceSample, GroupId, PersonId, TenantScope},
    error::Result,
    service::{
        attendance::{
            record::{RecordView, view},
            rosters::PeriodView,
        },
        events::EventView,
        people::Service,
    },
    store::{About, PersonFile, SessionRecord},
};

/// A sample with its vector.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedSample {
    /// The sample.
    #[serde(flatten)]
    pub sample: SampleView,
    /// Version of what was done to the network's raw output.
    pub postprocessing: u32,
    /// Unit length.
    pub vector: Vec<f32>,
}

/// An attendance record with its session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedRecord {
    /// Where.
    pub group: GroupId,
    /// The session's local date.
    #[schema(value_type = String, format = Date)]
    pub date: Date,
    /// The record.
    #[serde(flatten)]
    pub record: RecordView,
}

/// When a person belonged to a group.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExportedPlace {
    /// Which.
    pub group: GroupId,
    /// When, oldest first.
    pub periods: Vec<PeriodView>,
}

/// Everything that is stored of a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonExport {
    /// As of when.
    #[schema(value_type = String, format = DateTime)]
    pub exported_at: Timestamp,
    /// The person, with address, metadata, consent and groups.
    pub person: PersonView,
    /// Their places on rosters, those that they have left too.
    pub rosters: Vec<ExportedPlace>,
    /// Their samples with the vectors.
    pub samples: Vec<ExportedSample>,
    /// The photos of them that are kept, each to be had at `/people/{person}/photo?face={face}`.
    pub photos: Vec<PhotoView>,
    /// Faces that they are not taken for. Their vectors stay here: they are other people's.
    pub negatives: Vec<NegativeView>,
    /// Their attendance.
    pub attendance: Vec<ExportedRecord>,
    /// The events about them that are kept.
    pub events: Vec<EventView>,
}

impl From<FaceSample> for ExportedSample {
    fn from(sample: FaceSample) -> Self {
        let postprocessing = sample.model.postprocessing;
        Self { sample: (&sample).into(), postprocessing, vector: sample.vector }
    }
}

impl Service {
    /// Everything that is stored of a person, and the audit log says that it was given.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`.
    pub async fn export_person(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonExport> {
        let exported_at = self.clock.now();
        let PersonFile { record, places, samples, photos, negatives, attendance, events } =
            self.store.person_file(scope, person).await?;
        self.store.note_act(&scope.author(), "person.export", About::Person(person.clone())).await?;
        let exported = |record: SessionRecord| ExportedRecord {
            group: record.session.group.clone(),
            date: record.session.date,
            record: view(&record),
        };
        Ok(PersonExport {
            exported_at,
            person: record.into(),
            rosters: places
                .into_iter()
                .map(|(group, place)| ExportedPlace {
                    group,
                    periods: place.periods.into_iter().map(Into::into).collect(),
                })
                .collect(),
            samples: samples.into_iter().map(Into::into).collect(),
            photos: photos.into_iter().map(Into::into).collect(),
            negatives: negatives.into_iter().map(Into::into).collect(),
            attendance: attendance.into_iter().map(exported).collect(),
            events: events.into_iter().map(Into::into).collect(),
        })
    }
}
