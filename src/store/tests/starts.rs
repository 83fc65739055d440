//! Starts that were cut short, and what they leave: nothing that can be made anew keeps a store from opening.

use std::fs;

use super::{damage::Damaged, db, on_sled::*};
use crate::store::engine::sled::{marker::FILE_NAME as MARKER, pieces::SUM_KEY};

/// The name of sled's snapshot in the closed store.
fn snapshot(store: &Damaged) -> String {
    let is_snapshot = |name: &String| name.starts_with("snap.");
    store.names().into_iter().find(is_snapshot).expect("a closed store has one")
}

async fn assert_whole(store: &Damaged, case: &str) {
    assert!(store.opens_whole().await, "{case}");
}

/// Wherever it was cut short, nothing was acknowledged: the store is not live before its first opening is over.
#[tokio::test]
async fn a_first_start_that_was_cut_short_is_made_again() {
    let first = tempfile::tempdir().unwrap();
    drop(Store::open(StoreOptions::new(first.path())).unwrap());
    let files = fs::read_dir(first.path().join("1")).unwrap().map(|entry| entry.unwrap());
    let files: Vec<_> = files.filter(|entry| entry.path().is_file()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for cut in files.iter().flat_map(|file| {
        let bytes = fs::read(file.path()).unwrap();
        [0, 1, bytes.len() / 2, bytes.len()].map(|length| (file.file_name(), bytes[..length].to_vec()))
    }) {
        let (name, bytes) = cut;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        for file in &files {
            // The marker is written when all else is there.
            let has_marker = name == MARKER || bytes.len() as u64 == file.metadata().unwrap().len();
            if file.file_name() != MARKER || has_marker {
                fs::copy(file.path(), folder.path().join("1").join(file.file_name())).unwrap();
            }
        }
        fs::write(folder.path().join("1").join(&name), &bytes).unwrap();
        for start in ["first", "second"] {
            let case = format!("{start} start after {name:?} was cut at {}", bytes.len());
            let store = Store::open(StoreOptions::new(folder.path())).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(store.check(|_| None).await.unwrap().is_sound(), "{case}");
        }
    }
}

#[tokio::test]
async fn a_store_of_which_only_the_file_live_is_missing_opens_whole() {
    let store = Damaged::new().await;
    fs::remove_file(store.folder().join("live")).unwrap();
    assert_whole(&store, "without the file").await;
}

#[tokio::test]
async fn an_unfinished_snapshot_is_removed_wherever_it_was_cut() {
    let store = Damaged::new().await;
    let whole = store.original(&snapshot(&store)).to_vec();
    for cut in [0, 1, 12, 13, whole.len() / 2, whole.len() - 1, whole.len()] {
        let name = "snap.7FFFFFFFFFFFFFFF.generating";
        store.damage(name, &whole[..cut]);
        assert_whole(&store, &format!("cut at {cut}")).await;
        assert!(!store.names().contains(&name.to_owned()), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_damaged_snapshot_costs_nothing() {
    let store = Damaged::new().await;
    let name = snapshot(&store);
    let whole = store.original(&name).to_vec();
    store.damage(&name, b"");
    assert_whole(&store, "empty").await;
    store.damage("snap.7FFFFFFFFFFFFFFF", b"");
    assert_whole(&store, "an empty one that is newer").await;
    for part in 0..24 {
        let (from, to) = (whole.len() * part / 24, whole.len() * (part + 1) / 24);
        let mut flipped = whole.clone();
        flipped[from..to].iter_mut().for_each(|byte| *byte ^= 0x20);
        store.damage(&name, &flipped);
        assert_whole(&store, &format!("bytes {from} to {to}")).await;
        store.damage(&name, &whole[..from]);
        assert_whole(&store, &format!("cut at {from}")).await;
    }
}

#[tokio::test]
async fn a_store_without_any_snapshot_is_read_from_its_log() {
    let store = Damaged::new().await;
    store.damage("flag", b"");
    for name in store.names().into_iter().filter(|name| name.starts_with("snap.") || name == "flag") {
        fs::remove_file(store.path(&name)).unwrap();
    }
    assert_whole(&store, "no snapshot").await;
}

/// As sled leaves it where it was cut short while it overwrote a segment behind the end of its log: without a header,
/// with messages of numbers that are given again.
#[tokio::test]
async fn what_is_left_of_an_overwritten_segment_does_not_keep_a_store_from_opening() {
    const SEGMENT: usize = 512 << 10;
    let store = Damaged::new().await;
    let log = store.original("db").to_vec();
    for of in 0..log.len() / SEGMENT {
        let mut left = log.clone();
        left.resize(log.len().next_multiple_of(SEGMENT), 0);
        let mut segment = log[of * SEGMENT..(of + 1) * SEGMENT].to_vec();
        segment[..20].fill(0);
        left.extend(segment);
        store.damage("db", &left);
        assert_whole(&store, &format!("left of segment {of}")).await;
    }
}

/// Where the snapshot is lost, what the log says is compared with the sum, and one of the two may be what is missing.
#[tokio::test]
async fn a_store_without_its_sum_is_not_taken_for_whole() {
    let mut fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    db(&fixture).forget_silently(SUM_KEY);
    db(&fixture).flush().unwrap();
    fixture.store = None;
    fs::write(fixture.folder.path().join("1/snap.7FFFFFFFFFFFFFFF"), b"").unwrap();
    let error = Store::open(StoreOptions::new(fixture.folder.path())).err().unwrap();
    assert_eq!(error.code(), "store_damaged");
}
