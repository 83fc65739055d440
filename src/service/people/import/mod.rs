//! One row of a roster: a person made or changed, with the photos that are new of them.

mod consents;
mod leavers;

use std::collections::{BTreeSet, VecDeque};

use self::consents::consent;
pub use self::leavers::Leaver;
use super::{
    duplicates::Twin,
    enrol::{AcceptedImage, Admission, Entrance, Judged, Leaving, RejectedImage, Shot, shots},
    photos::NewPhoto,
};
use crate::{
    domain::{
        FaceSample, GroupId, ImportOptions, Person, PersonId, RowOutcome, RowReport, TenantScope, TenantSettings,
        ids::checked_name,
        jobs::{DoublePhoto, Fault, RefusedPhoto},
        people::person::checked_email,
    },
    error::{Error, Result},
    intake::{PhotoFile, PlannedRow, RosterRow},
    pipeline::{full, messages::EncodedImage, request::turn_of},
    runtime::ServiceClass,
    service::{Visit, people::Service, to_completion},
    store::{ItemPlace, PersonImport, RosterGroups, Samples},
};

/// Photos are judged so many at a time, and no more of them once they have so many bytes: memory stays flat whatever a
/// row has.
const PHOTOS_AT_ONCE: usize = 20;
const BYTES_AT_ONCE: usize = 16 << 20;
/// The most photos of a row.
const MAX_PHOTOS: usize = 200;

/// How rows are taken in.
#[derive(Debug, Clone, Copy)]
pub struct RowRules {
    /// As the job says.
    pub options: ImportOptions,
    /// The largest photo, in bytes.
    pub image_bytes: u64,
}

/// What the photos of a row come to.
#[derive(Default)]
struct Shown {
    samples: Vec<FaceSample>,
    /// Those behind them that are to be kept.
    photos: Vec<NewPhoto>,
    /// The images behind `samples`, numbered by the row's photos.
    accepted: Vec<AcceptedImage>,
    refused: Vec<RefusedPhoto>,
    /// The files of which there was a sample already.
    known: BTreeSet<[u8; 32]>,
}

/// A group by its id. Errors: `Invalid` `invalid_group`, which says which.
fn group_of(text: &str) -> Result<GroupId> {
    text.parse().map_err(|error: Error| {
        let message = format!("{text:.100} is no id of a group: {}", error.message());
        Error::invalid(message).with_code("invalid_group")
    })
}

/// A row whose photos were judged.
struct JudgedRow {
    /// With the samples that are new; the records of their photos come with the files.
    import: PersonImport,
    judged: Judged,
    report: RowReport,
}

impl Service {
    /// Takes a row in, and its report where it is an item of a job, all or nothing; in a dry run nothing is stored. Doing
    /// it again changes nothing more: who is there is changed and not doubled, and a file makes one sample of a person.
    ///
    /// # Errors
    /// What is wrong with the row, for its report; `Overloaded` and `Unavailable` where it is worth another try;
    /// `Conflict` `job_over`. A photo that cannot be used is in the report and fails nothing.
    pub async fn import_row(
        &self,
        scope: &TenantScope,
        planned: &PlannedRow,
        rules: RowRules,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let (row, photos, options) = (&planned.row, planned.photos.clone(), rules.options);
        if planned.is_repeated {
            return Err(Error::invalid("an earlier row has the same id").with_code("repeated_id"));
        }
        if let Some(Fault { message, .. }) = &row.fault {
            return Err(Error::invalid(message.clone()).with_code("invalid_row"));
        }
        let person: PersonId = row.id.parse()?;
        let visit = Visit::of_work(&self.store, &self.clock, scope).await?;
        let (known, stored) = self.store.person_with_samples(scope, &person).await?.unzip();
        let mut import = self.checked(row, person, known.as_ref(), options, visit.settings())?;
        if photos.len() > MAX_PHOTOS {
            let message = format!("a person has at most {MAX_PHOTOS} photos in a roster");
            return Err(Error::invalid(message).with_code("too_many_photos"));
        }
        let stored = stored.unwrap_or_default();
        // Checked before photos are worked on.
        self.store.preview_import(scope, import.clone(), empty_report(row)).await?;
        let unmade = || Person::new(import.person.clone(), String::new(), import.at);
        let person = known.unwrap_or_else(unmade);
        let person = Person { consent: import.consent.clone().or(person.consent), ..person };
        let shown = match self.entrance(&visit, &person, options.faces, options.quality, Vec::new()) {
            Ok(entrance) => {
                let keeps = entrance.keeps.filter(|_| !options.dry_run);
                let entrance = Entrance { class: ServiceClass::Bulk, keeps, ..entrance };
                self.show(entrance, &stored, photos, rules).await?
            }
            Err(error) if error.code() == "consent_required" => {
                let refused = (0..photos.len()).map(|number| refused(number, (&error).into())).collect();
                Shown { refused, ..Shown::default() }
            }
            Err(error) => return Err(error),
        };
        let Shown { samples, photos, accepted, refused, known } = shown;
        let is_other = |sample: &&FaceSample| sample.source.is_none_or(|source| !known.contains(&source));
        let is_replaced = options.replace && !(samples.is_empty() && known.is_empty());
        let removed = stored.iter().filter(is_other).filter(|_| is_replaced).map(|sample| sample.id).collect();
        let samples_added = samples.len() as u32;
        // What is new goes with the photos; that there is some is what the preview goes by.
        import.samples = Samples { added: samples.clone().into(), removed };
        let report = RowReport { samples_added, refused, ..empty_report(row) };
        let judged = JudgedRow { import, judged: Judged { samples, photos, accepted, rejected: Vec::new() }, report };
        let service = self.clone();
        to_completion(async move { service.take_in(&visit, judged, options.dry_run, place).await }).await
    }

    /// Stores a row whose photos were judged, under the person's lock; in a dry run says what would come of it.
    async fn take_in(
        &self,
        visit: &Visit,
        judged: JudgedRow,
        dry_run: bool,
        place: Option<ItemPlace>,
    ) -> Result<RowReport> {
        let JudgedRow { mut import, mut judged, report } = judged;
        let (person, service) = (import.person.clone(), self.clone());
        let policy = visit.settings().enrolment.duplicates;
        if dry_run {
            let _locks = self.locks(visit, &person, policy).await;
            let (samples, accepted) = (&judged.samples, &judged.accepted);
            let twins = self.twins(visit, &person, samples, accepted, policy, ServiceClass::Bulk).await?;
            return self.store.preview_import(visit, import, with_twins(report, &twins)).await;
        }
        let leaving = Leaving::These(import.samples.removed.clone());
        let admission = Admission { policy, class: ServiceClass::Bulk, leaving, ..Admission::of(visit, &person) };
        let write = |faces, twins: &[Twin]| {
            import.samples.added = faces;
            let report = with_twins(report, twins);
            async move { service.store.import_person(visit, import, report, place).await }
        };
        Ok(self.admit(admission, &mut judged, write).await?.written)
    }

    fn checked(
        &self,
        row: &RosterRow,
        person: PersonId,
        known: Option<&Person>,
        options: ImportOptions,
        settings: &TenantSettings,
    ) -> Result<PersonImport> {
        let now = self.clock.now();
        let groups = row.groups.iter().map(|group| group_of(group)).collect::<Result<Vec<_>>>()?;
        let zone_of_new = options.create_groups.then(|| settings.time_zone().to_owned());
        let consent = consent(&row.consent, known, &settings.zone()?, now)?;
        Ok(PersonImport {
            person,
            name: row.name.as_deref().map(checked_name).transpose()?,
            email: row.email.as_deref().map(checked_email).transpose()?,
            metadata: row.metadata.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            consent,
            groups: RosterGroups { named: groups, are: options.groups, zone_of_new },
            on_roster_since: row.on_roster_since.as_deref().map(str::parse).transpose()?,
            joining_since: options.on_roster_since,
            samples: Samples::default(),
            at: now,
        })
    }

    /// Reads and judges the photos, a few at a time. Files of which there is a sample are not looked at again.
    async fn show(
        &self,
        mut entrance: Entrance<'_>,
        stored: &[FaceSample],
        photos: Vec<PhotoFile>,
        rules: RowRules,
    ) -> Result<Shown> {
        let mut shown = Shown::default();
        let mut seen = BTreeSet::new();
        let mut waiting: VecDeque<(usize, PhotoFile)> = photos.into_iter().enumerate().collect();
        if !rules.options.replace {
            entrance.stored = stored.to_vec();
        }
        while !waiting.is_empty() {
            let (mut images, mut numbers, mut bytes_held) = (Vec::new(), Vec::new(), 0);
            while images.len() < PHOTOS_AT_ONCE && bytes_held < BYTES_AT_ONCE {
                let Some((number, photo)) = waiting.pop_front() else { break };
                match photo.read(rules.image_bytes).await? {
                    Ok(bytes) => {
                        bytes_held += bytes.len();
                        images.push(self.hold(entrance.visit, bytes).await?);
                        numbers.push(number);
                    }
                    Err(fault) => shown.refused.push(refused(number, fault)),
                }
            }
            let (mut fresh, mut places) = (Vec::new(), Vec::new());
            for (shot, place) in shots(images).await?.into_iter().zip(numbers) {
                if stored.iter().any(|sample| sample.source == Some(shot.digest)) {
                    shown.known.insert(shot.digest);
                } else if seen.insert(shot.digest) {
                    fresh.push(shot);
                    places.push(place);
                }
            }
            self.judge_some(&mut entrance, fresh, &places, &mut shown).await?;
        }
        Ok(shown)
    }

    async fn judge_some(
        &self,
        entrance: &mut Entrance<'_>,
        shots: Vec<Shot>,
        places: &[usize],
        shown: &mut Shown,
    ) -> Result<()> {
        if shots.is_empty() {
            return Ok(());
        }
        let judged = self.sift(entrance, shots).await?;
        // Those that come after them have to agree with them.
        entrance.stored.extend(judged.samples.iter().cloned());
        shown.samples.extend(judged.samples);
        shown.photos.extend(judged.photos);
        for accepted in judged.accepted {
            let Some(&number) = places.get(accepted.image) else { continue };
            shown.accepted.push(AcceptedImage { image: number, ..accepted });
        }
        for RejectedImage { image, reason, message, .. } in judged.rejected {
            let Some(&number) = places.get(image) else { continue };
            shown.refused.push(refused(number, Fault { code: reason, message }));
        }
        Ok(())
    }

    /// Takes memory for an image of a job from the pipeline's budget, waiting for room.
    pub(in crate::service) async fn hold(&self, scope: &TenantScope, bytes: bytes::Bytes) -> Result<EncodedImage> {
        let tools = self.pipeline.tools();
        let patience = tools.options.admission_wait;
        let turn = turn_of(ServiceClass::Bulk, scope);
        let held = tools.budget.reserve_within(&turn, bytes.len() as u64, patience);
        Ok(EncodedImage { held: held.await.map_err(full)?, bytes })
    }
}

/// The report of a row that failed.
pub fn failed_row(row: &RosterRow, error: &Error) -> RowReport {
    RowReport { error: Some(error.into()), ..empty_report(row) }
}

fn empty_report(row: &RosterRow) -> RowReport {
    RowReport {
        line: row.line,
        person: row.id.parse().ok(),
        outcome: RowOutcome::Failed,
        error: None,
        samples_added: 0,
        refused: Vec::new(),
        duplicates: Vec::new(),
        groups_made: Vec::new(),
        left: Vec::new(),
    }
}

fn with_twins(report: RowReport, twins: &[Twin]) -> RowReport {
    let double = |twin: &Twin| DoublePhoto {
        photo: twin.image as u32,
        person: twin.person.clone(),
        similarity: twin.similarity,
    };
    RowReport { duplicates: twins.iter().map(double).collect(), ..report }
}

fn refused(photo: usize, fault: Fault) -> RefusedPhoto {
    let Fault { code, message } = fault;
    RefusedPhoto { photo: photo as u32, reason: code, message }
}
