//! Backups: of one moment, whatever is written meanwhile, and restored whole or not at all.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::StreamExt;

use tempfile::TempDir;

use super::on_sled::*;
use crate::{
    domain::GroupId,
    error::ErrorKind,
    store::{BackupStream, PersonChange, operations::archive, restore, verify_backup},
};

async fn bytes_of(mut stream: BackupStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

/// The folder goes when it is dropped.
struct Restored {
    folder: TempDir,
    store: Store,
}

fn restored(backup: &[u8]) -> Restored {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    restore(&path, backup).unwrap();
    Restored { store: reopened(&path), folder }
}

#[tokio::test]
async fn a_restored_store_is_the_one_that_was_copied() {
    let mut fixture = Fixture::new().await;
    for n in 0..300 {
        let name = format!("p{n}");
        fixture.enrol(&name, &["a"], vec![sample(&name, 0.1), sample(&name, 0.2)]).await.unwrap();
    }
    fixture.mark_photo(&scope("t"), photo("a", 29, &["p7"])).await.unwrap();
    let backup = bytes_of(fixture.backup(&Right::of_machine(), None, now).await.unwrap()).await;
    let copy = restored(&backup);
    assert_eq!(content(&copy.store), content(&fixture));
    assert_eq!(verify_backup(&backup[..]).unwrap(), content(&fixture).len() as u64 + 1, "and its own note");
    // Its flushes are numbered anew, and go on: it opens again, and takes writes that survive.
    copy.store.create_person(&scope("t"), person("later"), &[], vec![]).await.unwrap();
    let path = copy.folder.path().join("store");
    drop(copy.store);
    let again = reopened(&path);
    assert_eq!(again.person(&scope("t"), &id("later")).await.unwrap().person, person("later"));
    fixture.reopen();
    // The person, what leads to them, three beginnings of each of two words, and the entry in the audit log.
    assert_eq!(content(&fixture).len() + 9, content(&again).len());
}

#[tokio::test]
async fn an_empty_store_can_be_copied() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::new(folder.path())).unwrap();
    let backup = bytes_of(store.backup(&Right::of_machine(), None, now).await.unwrap()).await;
    assert_eq!(content(&restored(&backup).store), content(&store));
}

/// Each round moves everybody to the other group, renames them and replaces their samples, one person an operation.
async fn churn(store: Store, writer: usize, people: usize, stop: Arc<AtomicBool>) -> usize {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let group: GroupId = if round % 2 == 0 { "a" } else { "b" }.parse().unwrap();
        for n in 0..people {
            let name = format!("p{n}");
            store.replace_faces(&scope("t"), &id(&name), vec![sample(&name, 0.3); 1]).await.unwrap();
            let change = PersonChange {
                name: Some(format!("round {round}")),
                groups: Some(vec![group.clone()]),
                ..PersonChange::default()
            };
            store.update_person(&scope("t"), &id(&name), change).await.unwrap();
            let gone = format!("q{writer}-{round}-{n}");
            store.create_person(&scope("t"), person(&gone), &[], vec![sample(&gone, 0.1)]).await.unwrap();
            store.delete_person(&scope("t"), &id(&gone), now()).await.unwrap();
        }
    }
    round
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_taken_among_writes_is_of_one_moment() {
    const PEOPLE: usize = 600;
    let fixture = Fixture::new().await;
    for n in 0..PEOPLE {
        let name = format!("p{n}");
        fixture.enrol(&name, &["a"], vec![sample(&name, 0.1)]).await.unwrap();
    }
    let stop = Arc::default();
    let writers: Vec<_> =
        (0..2).map(|writer| tokio::spawn(churn((*fixture).clone(), writer, PEOPLE, Arc::clone(&stop)))).collect();
    let mut numbers = Vec::new();
    for n in 0..4 {
        let marker = format!("before-{n}");
        fixture.create_person(&scope("t"), person(&marker), &[], vec![]).await.unwrap();
        let mut stream = fixture.backup(&Right::of_machine(), None, now).await.unwrap();
        let mut backup = Vec::new();
        while let Some(piece) = stream.next().await {
            backup.extend_from_slice(&piece.unwrap());
            // A reader slower than the writers' pages: every round finds changes.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let copy = restored(&backup).store;
        let people = everybody(&copy, "t").await.unwrap();
        for n in 0..=n {
            assert!(people.iter().any(|record| record.person.id.as_str() == format!("before-{n}")));
        }
        let regulars: Vec<_> = people.iter().filter(|record| record.person.id.as_str().starts_with('p')).collect();
        assert_eq!(regulars.len(), PEOPLE);
        // Whole operations: one sample and one group each, on that group's roster and no other.
        let rosters = [copy.roster(&scope("t"), &"a".parse().unwrap()).await.unwrap(), {
            copy.roster(&scope("t"), &"b".parse().unwrap()).await.unwrap()
        }];
        assert_eq!(rosters[0].len() + rosters[1].len(), PEOPLE);
        for record in regulars {
            assert_eq!((record.faces.len(), record.groups.len()), (1, 1), "{:?}", record.person.id);
            let at = usize::from(record.groups[0].as_str() == "b");
            assert!(rosters[at].contains(&record.person.id));
        }
        // The notes of this one and of those before it are no content.
        numbers.push(archive_len(&backup) - content(&copy).len() - (n + 1));
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    assert!(numbers.iter().any(|again| *again > 0), "nothing was written during any copy: {numbers:?}");
}

fn archive_len(backup: &[u8]) -> usize {
    verify_backup(backup).unwrap() as usize
}

#[tokio::test]
async fn one_copy_is_taken_at_a_time_and_an_abandoned_one_ends() {
    let fixture = Fixture::new().await;
    for n in 0..1500 {
        let name = format!("p{n}");
        fixture.enrol(&name, &[], vec![sample(&name, 0.1)]).await.unwrap();
    }
    let mut stream = fixture.backup(&Right::of_machine(), None, now).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let error = fixture.backup(&Right::of_machine(), None, now).await.err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "backup_running"));
    drop(stream);
    // Ends when it next looks for its reader.
    let backup = loop {
        match fixture.backup(&Right::of_machine(), None, now).await {
            Ok(stream) => break bytes_of(stream).await,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(content(&restored(&backup).store), content(&fixture));
    let listed = fixture.backups(None, 10).await.unwrap();
    assert_eq!(listed.len(), 1, "the one that was abandoned is not: {listed:?}");
    assert_eq!((listed[0].is_whole, listed[0].bytes), (true, Some(backup.len() as u64)));
}

#[tokio::test]
async fn backups_of_one_name_are_struck_off_together() {
    let fixture = Fixture::new().await;
    for name in [Some("monday"), None, Some("tuesday"), Some("monday")] {
        bytes_of(fixture.backup(&Right::of_machine(), name.map(str::to_owned), now).await.unwrap()).await;
    }
    fixture.strike_backups_called(&Right::of_machine(), "monday".to_owned()).await.unwrap();
    let names: Vec<_> = fixture.backups(None, 10).await.unwrap().into_iter().map(|backup| backup.name).collect();
    assert_eq!(names, [None, Some("tuesday".to_owned())]);
}

#[test]
fn backups_of_older_versions_are_listed_as_they_were() {
    /// As version 1 had it.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Old(crate::domain::BackupId, Timestamp, Option<Timestamp>);
    impl crate::store::codec::Record for Old {
        const KIND: u8 = 52;
    }
    let id = crate::domain::BackupId::generate();
    for (ended_at, is_whole) in [(Some(now()), true), (None, false)] {
        let bytes = crate::store::codec::encode(&Old(id, now(), ended_at)).unwrap();
        let backup: crate::store::Backup = crate::store::codec::decode(&bytes).unwrap();
        assert_eq!((backup.id, backup.ended_at, backup.name, backup.is_whole), (id, ended_at, None, is_whole));
    }
}

#[tokio::test]
async fn a_damaged_record_is_not_copied_without_a_word() {
    let fixture = Fixture::new().await;
    tamper(&fixture, |transaction| {
        let key = crate::store::keys::person(scope("t").tenant(), Pseudonym::generate());
        transaction.put_bytes(key, b"\x01\x06rubbish".to_vec());
        Ok(())
    })
    .await
    .unwrap();
    let pieces: Vec<_> = fixture.backup(&Right::of_machine(), None, now).await.unwrap().collect().await;
    assert_eq!(pieces.last().unwrap().as_ref().unwrap_err().code(), "damaged_record");
    let bytes: Vec<u8> = pieces.into_iter().filter_map(Result::ok).flatten().collect();
    let folder = tempfile::tempdir().unwrap();
    let error = restore(&folder.path().join("store"), &bytes[..]).unwrap_err();
    assert!(["truncated_backup", "not_a_backup"].contains(&error.code()), "{error:?}");
}

#[tokio::test]
async fn cut_flipped_and_later_backups_are_refused() {
    let fixture = Fixture::new().await;
    for n in 0..40 {
        fixture.enrol(&format!("p{n}"), &["a"], vec![sample(&format!("p{n}"), 0.1)]).await.unwrap();
    }
    let backup = bytes_of(fixture.backup(&Right::of_machine(), None, now).await.unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let attempt = |n: usize, bytes: &[u8]| restore(&folder.path().join(n.to_string()), bytes).map_err(|e| e.code());
    for n in 0..20 {
        let at = backup.len() * n / 20 + 3;
        let code = attempt(n, &backup[..at]).unwrap_err();
        assert!(["not_a_backup", "truncated_backup"].contains(&code), "{code}");
        let mut flipped = backup.clone();
        flipped[at] ^= 0x40;
        let code = attempt(n + 100, &flipped).unwrap_err();
        assert!(["not_a_backup", "truncated_backup", "damaged_backup"].contains(&code), "{code}");
    }
    let (writer, header) = archive::Writer::new(crate::store::operations::open::FORMAT_VERSION + 1);
    assert_eq!(attempt(200, &[&header[..], &writer.finish()].concat()), Err("newer_store"));
    assert_eq!(attempt(201, b"PK\x03\x04 something else altogether"), Err("not_a_backup"));
    assert_eq!(attempt(202, &backup), Ok(content(&fixture).len() as u64 + 1));
}
