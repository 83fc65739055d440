//! What is kept of the reports of jobs: nobody's id and nothing else that somebody gave as a name.

use serde::{Deserialize, Serialize};

use super::{on_sled::*, rewrite::is_on_disk};
use crate::{
    domain::{
        FaceChoice, ImportOptions, ItemReport, Job, JobId, JobState, JobTask, RowOutcome, RowReport,
        jobs::{DoublePhoto, RefusedPhoto},
    },
    store::{
        ItemPlace,
        codec::Record,
        jobs::{
            KeptReport,
            older::{Job1, Options1, Photo2, Report2, Row2, Task1},
        },
        operations::open::Format,
    },
};

impl Record for Job1 {
    const KIND: u8 = Job::KIND;
}

impl Record for Report2 {
    const KIND: u8 = KeptReport::KIND;
    const VERSION: u8 = 2;
}

/// A report as version 2 of the store had it, as far as that matters here.
#[derive(Serialize, Deserialize)]
struct OldReport(String);

impl Record for OldReport {
    const KIND: u8 = KeptReport::KIND;
}

async fn job(fixture: &Fixture) -> JobId {
    let job = JobId::generate();
    let task = JobTask::Import(ImportOptions { dry_run: true, ..ImportOptions::default() });
    fixture.create_job(&scope("t"), Job::new(job, task, Actor::Machine, 3, now()), 10).await.unwrap();
    job
}

fn row(person: &str) -> RowReport {
    RowReport {
        line: 2,
        person: Some(id(person)),
        outcome: RowOutcome::Failed,
        error: None,
        samples_added: 0,
        refused: vec![RefusedPhoto { photo: 1, reason: "no_face".into(), message: "none".into() }],
        duplicates: vec![DoublePhoto { photo: 0, person: id("there-0815"), similarity: 0.7 }],
        groups_made: vec!["a".parse().unwrap()],
        left: vec!["b".parse().unwrap()],
    }
}

async fn shown(fixture: &Fixture, job: JobId) -> Vec<ItemReport> {
    let page = fixture.items(&scope("t"), job, None, 10).await.unwrap();
    page.items.into_iter().map(|(_, report)| report).collect()
}

#[tokio::test]
async fn a_report_shows_the_id_of_its_row_while_there_is_such_a_person() {
    let fixture = Fixture::new().await;
    fixture.enrol("there-0815", &[], vec![]).await.unwrap();
    let job = job(&fixture).await;
    let note = async |number, row| {
        let place = ItemPlace { job, number };
        fixture.note_item(&scope("t"), place, ItemReport::Row(row)).await.unwrap();
    };
    note(0, row("absent-4711")).await;
    let path = fixture.folder.path().to_owned();
    assert!(!is_on_disk(&path, b"absent-4711"), "of who is not there only a digest is kept");
    let nobodys = ItemReport::Row(RowReport { person: None, ..row("absent-4711") });
    assert_eq!(shown(&fixture, job).await, std::slice::from_ref(&nobodys));
    fixture.enrol("absent-4711", &[], vec![]).await.unwrap();
    let theirs = ItemReport::Row(row("absent-4711"));
    assert_eq!(shown(&fixture, job).await, std::slice::from_ref(&theirs));
    assert!(fixture.check(|_| None).await.unwrap().is_sound());

    note(1, row("absent-4711")).await;
    assert_eq!(shown(&fixture, job).await, [theirs.clone(), theirs]);
    fixture.delete_person(&scope("t"), &id("absent-4711"), now()).await.unwrap();
    assert_eq!(shown(&fixture, job).await, [nobodys, ItemReport::Erased]);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
    // It also goes with whom it only mentions.
    fixture.delete_person(&scope("t"), &id("there-0815"), now()).await.unwrap();
    assert_eq!(shown(&fixture, job).await, [ItemReport::Erased, ItemReport::Erased]);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn reports_of_version_2_are_blank_and_what_they_told_is_gone_from_the_disk() {
    let mut fixture = Fixture::new().await;
    fixture.enrol("p", &[], vec![]).await.unwrap();
    let job = job(&fixture).await;
    let old = move |transaction: &mut Transaction<'_>| {
        let (tenant, who) = ("t".parse()?, pseudonym(transaction, "p"));
        transaction.put(keys::item(&tenant, job, 0), &OldReport("left-in-a-report".into()))?;
        transaction.put(keys::mention(&tenant, who, job, 0), &who)?;
        transaction.put(keys::format(), &Format { version: 2 })
    };
    tamper(&fixture, old).await.unwrap();
    let path = fixture.folder.path().to_owned();
    assert!(is_on_disk(&path, b"left-in-a-report"));
    fixture.reopen();
    assert_eq!(shown(&fixture, job).await, [ItemReport::Erased]);
    assert_eq!(fixture.done_items(&scope("t"), job).await.unwrap(), [0], "it is not done again");
    assert!(!is_on_disk(&path, b"left-in-a-report"));
    let report = fixture.check(|_| None).await.unwrap();
    assert!(report.is_sound() && !report.records.contains_key("job_mention"), "{report:?}");
}

#[tokio::test]
async fn jobs_and_reports_of_version_5_are_read_as_they_were() {
    let mut fixture = Fixture::new().await;
    let job = job(&fixture).await;
    let old = move |transaction: &mut Transaction<'_>| {
        let tenant = "t".parse()?;
        let options = Options1 { dry_run: true, replace: true, quality: None, faces: FaceChoice::default() };
        let job1 = Job1 {
            id: job,
            task: Task1::Import(options),
            by: Actor::Machine,
            request_id: Some("r".into()),
            state: JobState::Running,
            total: 3,
            done: 1,
            counts: [("created".to_owned(), 1)].into(),
            failed: BTreeMap::new(),
            error: None,
            created_at: now(),
            started_at: Some(now()),
            finished_at: None,
        };
        transaction.put(keys::job(&tenant, job), &job1)?;
        transaction.put(keys::item(&tenant, job, 0), &Report2::Row(Row2::created(2)))?;
        transaction.put(keys::item(&tenant, job, 1), &Report2::Photo(Photo2::without_faces(640, 480)))?;
        transaction.put(keys::format(), &Format { version: 5 })
    };
    tamper(&fixture, old).await.unwrap();
    fixture.reopen();
    let read = fixture.job(&scope("t"), job).await.unwrap();
    assert_eq!((read.total, read.done, read.started_at, read.counts["created"]), (3, 1, Some(now()), 1));
    let options = ImportOptions { dry_run: true, replace: true, ..ImportOptions::default() };
    assert_eq!((read.task, read.columns), (JobTask::Import(options), vec![]));
    let [ItemReport::Row(row), ItemReport::Photo(photo)] = &shown(&fixture, job).await[..] else {
        panic!("a row and a photo")
    };
    assert_eq!((row.line, row.outcome, row.samples_added), (2, RowOutcome::Created, 1));
    assert_eq!((photo.width, photo.height, photo.turned), (640, 480, None));
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}
