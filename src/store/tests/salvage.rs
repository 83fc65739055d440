//! A store out of what can be read of another: all of it where nothing is damaged, the rest where something is, and
//! nothing that was removed.

use std::ops::Range;

use tempfile::TempDir;

use super::{damage::Damaged, on_sled::*};
use crate::store::{Salvaged, inspect, keys::Access, salvage};

struct Made {
    salvaged: Salvaged,
    folder: TempDir,
}

fn salvaged(store: &Path) -> Made {
    let (scratch, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let salvaged = salvage(store, scratch.path(), folder.path()).unwrap();
    Made { salvaged, folder }
}

/// Whether a record goes along at all.
fn may_go(key: &[u8]) -> bool {
    !matches!(
        keys::parse(key).unwrap(),
        Parsed::Server(Server::ApiKey(_) | Server::Session(_))
            | Parsed::Access(_, Access::KeyPlace(_) | Access::User(_))
    )
}

#[tokio::test]
async fn all_of_a_sound_store_is_read() {
    let mut fixture = Fixture::new().await;
    let long = "x".repeat(30_000);
    for n in 0..150 {
        fixture.enrol(&format!("p{n}"), &["a", "b"], vec![sample(&format!("p{n}"), 0.1)]).await.unwrap();
        if n % 3 == 0 {
            fixture.delete_person(&scope("t"), &id(&format!("p{n}")), now()).await.unwrap();
        }
        if n % 10 == 1 {
            let people: Vec<String> = (1..n).filter(|n| n % 3 != 0).map(|n| format!("p{n}")).collect();
            let people: Vec<&str> = people.iter().map(String::as_str).collect();
            fixture.mark_photo(&scope("t"), photo("a", (1 + n / 10) as i8, &people)).await.unwrap();
        }
        if n % 40 == 0 {
            fixture.reopen();
        }
    }
    let holiday = crate::domain::attendance::timetable::Holiday { from: date(2026, 1, 1), until: None, name: long };
    fixture.put_holidays(&scope("t"), vec![holiday; 3]).await.unwrap();
    let before = content(&fixture);
    fixture.store = None;
    let made = salvaged(fixture.folder.path());
    assert_eq!((made.salvaged.damaged, made.salvaged.nobodys), (0, 0));
    assert_eq!(made.salvaged.found.missing_flushes, Some(0));
    assert_eq!(made.salvaged.found.unreadable_segments, 0);
    assert!(made.salvaged.found.report.is_sound(), "{:?}", made.salvaged.found.report);
    assert!(made.salvaged.report.is_sound(), "{:?}", made.salvaged.report);
    let expected: BTreeMap<_, _> = before.into_iter().filter(|(key, _)| may_go(key)).collect();
    assert!(content(&reopened(made.folder.path())) == expected);
}

/// Damages parts of the log one after the other.
#[tokio::test]
async fn of_a_damaged_store_the_rest_is_read_and_what_is_missing_is_told() {
    let store = Damaged::new().await;
    let log = store.original("db").to_vec();
    let used = log.iter().rposition(|&byte| byte != 0).unwrap();
    let parts: Vec<Range<usize>> = (0..16).map(|part| used * part / 16..used * part / 16 + 300).collect();
    let (mut partial, mut whole) = (0, 0);
    for part in parts {
        let mut damaged = log.clone();
        damaged[part.clone()].fill(0xA5);
        store.damage("db", &damaged);
        let made = salvaged(store.folder());
        let opened = reopened(made.folder.path());
        let people = everybody(&opened, "t").await.unwrap();
        let told = &made.salvaged.found;
        let is_whole = content(&opened).len() == store.content().keys().filter(|key| may_go(key)).count();
        let is_told = told.unreadable_places + told.unreadable_segments + told.lost_changes > 0
            || told.missing_flushes != Some(0)
            || !told.report.is_sound();
        assert!(is_whole || is_told, "{part:?}: what is missing is told");
        (whole, partial) = (whole + usize::from(is_whole), partial + usize::from(!is_whole));
        assert!(people.len() > Damaged::people() / 2, "{part:?}: {} people", people.len());
    }
    println!("{whole} of 16 were read as a whole, {partial} in part");
    store.damage("db", &log[..log.len() / 3]);
    let scratch = tempfile::tempdir().unwrap();
    let found = inspect(store.folder(), scratch.path()).unwrap();
    assert!(!found.report.is_sound(), "two thirds are missing: {found:?}");
}

/// The record of the removal lies where it cannot be read; what the log of changes says is enough.
#[tokio::test]
async fn who_was_removed_stays_removed() {
    let mut fixture = Fixture::new().await;
    for name in ["stays", "leaves"] {
        fixture.enrol(name, &["a"], vec![sample(name, 0.1)]).await.unwrap();
    }
    fixture.mark_photo(&scope("t"), photo("a", 2, &["stays", "leaves"])).await.unwrap();
    let before = content(&fixture);
    fixture.delete_person(&scope("t"), &id("leaves"), now()).await.unwrap();
    let log: BTreeMap<_, _> = content(&fixture)
        .into_iter()
        .filter(|(key, _)| {
            matches!(keys::parse(key), Some(Parsed::Access(_, Access::AuditEntry(_) | Access::AuditHead)))
        })
        .collect();
    // As if no page since had been readable but those of the log of changes.
    let resurrected: BTreeMap<_, _> = before.into_iter().chain(log).collect();
    tamper(&fixture, move |transaction| {
        for (key, bytes) in &resurrected {
            transaction.put_bytes(key.clone(), bytes.clone());
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(everybody(&fixture, "t").await.unwrap().len(), 2);
    fixture.store = None;
    let made = salvaged(fixture.folder.path());
    assert!(made.salvaged.nobodys > 5, "{:?}", made.salvaged);
    let opened = reopened(made.folder.path());
    assert_eq!(ids(&everybody(&opened, "t").await.unwrap()), ["stays"]);
    assert_eq!(opened.attendance(&scope("t"), &"a".parse().unwrap(), date(2026, 3, 2)).await.unwrap().len(), 1);
    assert!(made.salvaged.access > 0, "the key is not restored");
    assert_eq!(opened.usage(&scope("t")).await.unwrap().people, 1);
}
