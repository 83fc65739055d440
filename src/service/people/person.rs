//! People: reading, changing and erasing them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::consent::ConsentView;
use crate::{
    domain::{
        ConsentState, FaceId, FaceSample, GroupId, Metadata, MetadataPatch, PersonId, Pseudonym, Quality, TenantScope,
        ids::checked_name,
        people::{person::checked_email, words::words},
    },
    error::{Error, Result},
    service::{fields::given, people::Service, to_completion},
    store::{Erasure, FaceInfo, PeopleQuery, PersonChange, PersonRecord},
};

/// The longest query, in Unicode scalar values.
const MAX_QUERY_CHARS: usize = 200;

/// Which people are wanted; everybody where nothing is set.
#[derive(Debug, Clone, Default)]
pub struct PeopleFilter {
    /// Each of its words is the beginning of a word of the name or the id, whatever its case and accents; of names in
    /// scripts that put no space between them, the beginning of a part.
    pub query: Option<String>,
    /// Those on a group's roster.
    pub group: Option<GroupId>,
    /// Those whose consent stands so.
    pub consent: Option<ConsentState>,
    /// How their samples are shown.
    pub faces: FacesShown,
}

/// How samples are shown in a list of people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FacesShown {
    /// All of them.
    #[default]
    All,
    /// Not at all: for a list of names.
    None,
}

/// An enrolled face sample; the vector itself is never shown here.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SampleView {
    /// The sample.
    pub id: FaceId,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// How good the face was.
    pub quality: Quality,
    /// The network that made the vector.
    pub model: String,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonView {
    /// Unique in the tenant.
    pub id: PersonId,
    /// 1–200 characters.
    pub name: String,
    /// Where they are reached.
    pub email: Option<String>,
    /// What else the institution keeps.
    pub metadata: Metadata,
    /// On what ground their face is kept; null where nothing was recorded.
    pub consent: Option<ConsentView>,
    /// When a consent was withdrawn, unless another was given since.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub consent_withdrawn_at: Option<Timestamp>,
    /// The groups they are in.
    pub groups: Vec<GroupId>,
    /// Their samples; empty in a list without them.
    pub faces: Vec<SampleView>,
    /// When they were enrolled.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of people.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PersonPage {
    /// In the order of their enrolment. Where only some are wanted there may be fewer than `limit`, or none, though more follow.
    pub people: Vec<PersonView>,
    /// Give it as `after` to get the next page; null on the last.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub next: Option<Pseudonym>,
}

/// What can be changed of a person; what is missing stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonPatch {
    /// 1–200 characters.
    pub name: Option<String>,
    /// Where they are reached; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub email: Option<Option<String>>,
    /// Entries to set; null removes one, what is missing stays.
    #[serde(default)]
    pub metadata: MetadataPatch,
    /// All groups that they are to be in.
    pub groups: Option<Vec<GroupId>>,
}

impl From<FaceInfo> for SampleView {
    fn from(face: FaceInfo) -> Self {
        Self { id: face.id, score: face.score, quality: face.quality, model: face.model.name.to_string() }
    }
}

impl From<&FaceSample> for SampleView {
    fn from(sample: &FaceSample) -> Self {
        FaceInfo::from(sample).into()
    }
}

impl From<PersonRecord> for PersonView {
    fn from(record: PersonRecord) -> Self {
        Self {
            id: record.person.id,
            name: record.person.name,
            email: record.person.email,
            metadata: record.person.metadata,
            consent: record.person.consent.map(Into::into),
            consent_withdrawn_at: record.person.consent_withdrawn_at,
            groups: record.groups,
            faces: record.faces.into_iter().map(Into::into).collect(),
            created_at: record.person.created_at,
        }
    }
}

impl Service {
    /// A page of those people whom `filter` wants, after `after`.
    ///
    /// # Errors
    /// `NotFound` `group_not_found`; `Invalid` `invalid_query` for a query that is too long.
    pub async fn people(
        &self,
        scope: &TenantScope,
        filter: PeopleFilter,
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<PersonPage> {
        let PeopleFilter { query, group, consent, faces } = filter;
        let text = query.unwrap_or_default();
        if text.chars().count() > MAX_QUERY_CHARS {
            let message = format!("a query is up to {MAX_QUERY_CHARS} characters");
            return Err(Error::invalid(message).with_code("invalid_query"));
        }
        let consent = consent.map(|state| (state, self.clock.now()));
        let without_faces = faces == FacesShown::None;
        let query = PeopleQuery { words: words(&text), group, consent, without_faces };
        let page = self.store.find_people(scope, query, after, limit).await?;
        Ok(PersonPage { people: page.people.into_iter().map(Into::into).collect(), next: page.next })
    }

    /// One person.
    pub async fn person(&self, scope: &TenantScope, id: &PersonId) -> Result<PersonView> {
        Ok(self.store.person(scope, id).await?.into())
    }

    /// Changes what is known of a person.
    pub async fn update_person(&self, scope: &TenantScope, id: &PersonId, patch: PersonPatch) -> Result<PersonView> {
        let name = patch.name.as_deref().map(checked_name).transpose()?;
        let email = patch.email.map(|email| email.as_deref().map(checked_email).transpose()).transpose()?;
        let at = self.clock.now();
        let change = PersonChange { name, email, metadata: patch.metadata, groups: patch.groups, at };
        Ok(self.store.update_person(scope, id, change).await?.into())
    }

    /// Erases a person: samples, photos, memberships and attendance. Nobody finds them from then on.
    /// See [`Erasure`] for what is left of them.
    pub async fn delete_person(&self, scope: &TenantScope, id: &PersonId) -> Result<Erasure> {
        let (service, scope, id) = (self.clone(), scope.clone(), id.clone());
        to_completion(async move {
            let _turn = service.people_locks(&scope, [&id]).await;
            let photos = service.store.photos(&scope, &id).await?.photos;
            let erasure = service.store.delete_person(&scope, &id, service.clock.now()).await?;
            service.remove_files(&scope, photos).await;
            Ok(erasure)
        })
        .await
    }

    /// Deletes one sample of a person, with its photo.
    pub async fn delete_face(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let _turn = service.people_locks(&scope, [&person]).await;
            let mut photos = service.store.photos(&scope, &person).await?.photos;
            photos.retain(|photo| photo.face == face);
            service.store.delete_face(&scope, &person, face).await?;
            service.remove_files(&scope, photos).await;
            Ok(())
        })
        .await
    }
}
