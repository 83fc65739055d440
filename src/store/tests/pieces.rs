//! Values of every length around a piece: nothing outside the log, nothing left over, nothing hidden seen.

use proptest::prelude::*;

use super::{db, on_sled::*};
use crate::store::engine::{
    Change, Readable,
    sled::{Db, files::has_blobs, pieces::PIECE_BYTES},
    sum::{Sum, weight},
};

type Plain = BTreeMap<Vec<u8>, Vec<u8>>;

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..40_usize, PIECE_BYTES - 2..PIECE_BYTES + 3, 2 * PIECE_BYTES - 2..2 * PIECE_BYTES + 3, Just(100_000)]
}

/// Batches of changes of few keys, so that most are changed again; the last key of the alphabet as well.
fn batches() -> impl Strategy<Value = Vec<Vec<Change>>> {
    // A record begins with the version of its layout, which is never 0xff.
    let value = prop::option::weighted(0.8, (0..u8::MAX, lengths()).prop_map(|(byte, length)| vec![byte; length]));
    let change = ("[a-cz]{1,2}".prop_map(String::into_bytes), value);
    prop::collection::vec(prop::collection::vec(change, 1..12), 1..12)
}

fn seen(db: &Db) -> Plain {
    db.view().unwrap().scan_bytes(&[], None).map(Result::unwrap).collect()
}

fn sum_of(plain: &Plain) -> Sum {
    let mut sum = Sum::default();
    for (key, value) in plain {
        sum.add(weight(key, value));
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn records_of_any_length_are_what_was_written(batches in batches()) {
        let folder = tempfile::tempdir().unwrap();
        let mut plain = Plain::new();
        let mut db = Db::open(folder.path(), 1 << 20).unwrap();
        for (at, batch) in batches.into_iter().enumerate() {
            db.apply(batch.iter().cloned().collect()).unwrap();
            for (key, value) in batch {
                match value {
                    Some(value) => plain.insert(key, value),
                    None => plain.remove(&key),
                };
            }
            db.flush().unwrap();
            if at % 4 == 3 {
                drop(db);
                db = Db::open(folder.path(), 1 << 20).unwrap();
            }
            prop_assert!(seen(&db) == plain);
            prop_assert_eq!(db.sum().unwrap(), sum_of(&plain));
            let pieces: usize = plain.values().filter(|value| value.len() > PIECE_BYTES).map(|value| value.len().div_ceil(PIECE_BYTES)).sum();
            prop_assert_eq!(db.num_hidden(), pieces + 1);
            let last = db.view().unwrap().last_key(b"", b"zz").unwrap();
            prop_assert_eq!(last.as_ref(), plain.keys().next_back());
        }
        prop_assert!(!has_blobs(folder.path()).unwrap());
    }
}

/// sled merges leaves of few entries and splits those of more than sixteen, so a node can hold some more than that.
#[test]
fn nodes_of_the_longest_values_stay_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path(), 1 << 20).unwrap();
    // As long as a key of three ids of 128 bytes.
    let key = |number: u32| format!("{number:06}{}", "k".repeat(400)).into_bytes();
    let write = |numbers: &mut dyn Iterator<Item = u32>, length: Option<usize>| {
        for number in numbers {
            db.apply([(key(number), length.map(|length| vec![number as u8; length]))].into_iter().collect()).unwrap();
            if number % 64 == 0 {
                db.flush().unwrap();
            }
        }
        db.flush().unwrap();
    };
    write(&mut (0..600), Some(PIECE_BYTES));
    write(&mut (0..600).filter(|number| number % 16 > 2), None);
    write(&mut (0..600).rev().filter(|number| number % 3 == 0), Some(PIECE_BYTES));
    write(&mut (0..600), Some(PIECE_BYTES + 1));
    write(&mut (0..600).filter(|number| number % 7 < 5), None);
    write(&mut (0..600), Some(1 << 18));
    drop(db);
    assert!(!has_blobs(folder.path()).unwrap());
    let db = Db::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(seen(&db).len(), 600);
}

/// The sum shows what nothing refers to.
#[tokio::test]
async fn the_check_misses_a_record_that_is_gone_without_a_trace() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fixture.put_holidays(&scope("t"), Vec::new()).await.unwrap();
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
    db(&fixture).forget_silently(&keys::holidays(scope("t").tenant()));
    let problems = fixture.check(|_| None).await.unwrap().problems;
    assert_eq!(problems.keys().collect::<Vec<_>>(), ["records_missing"]);
}
