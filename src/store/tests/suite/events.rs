//! The event log: what happened and nothing else, numbered without gaps, and no longer than it may be.

use jiff::{SignedDuration, ToSpan};

use super::*;
use crate::{domain::Event, runtime::ManualClock};

/// The log of the tenant `t`.
async fn log(store: &Store) -> Vec<Event> {
    let last = *store.listen(&scope("t")).await.unwrap().borrow();
    store.events(&scope("t"), 0, last, 1000).await.unwrap().events
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id).collect()
}

/// With people `p0` to `p7` in `a`, and a log of at most `max_events`.
async fn class(max_events: u64, clock: &ManualClock) -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(clock.clone());
    let store = Store::open(StoreOptions { clock, max_events, ..options(folder.path()) }).unwrap();
    store.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 1)).await.unwrap();
    store.create_group(&scope("t"), group("a")).await.unwrap();
    for n in 0..8 {
        let groups = ["a".parse().unwrap()];
        store.create_person(&scope("t"), person(&format!("p{n}")), &groups, Vec::new()).await.unwrap();
    }
    (store, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_once_in_the_order_in_which_it_happened() {
    let (store, _folder) = class(1000, &ManualClock::at(now())).await;
    let mut bell = store.listen(&scope("t")).await.unwrap();
    let marks: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let name = format!("p{n}");
                let both: &[&str] = if n == 0 { &["p0"] } else { &[&name, "p0"] };
                store.mark_photo(&scope("t"), photo("a", 1, both)).await.unwrap();
            })
        })
        .collect();
    for mark in marks {
        mark.await.unwrap();
    }
    assert_eq!(*bell.borrow_and_update(), 8, "rung before it is acknowledged");
    let told = log(&store).await;
    assert_eq!(numbers(&told), (1..=8).collect::<Vec<_>>());
    let mut people: Vec<_> = told.iter().map(|event| event.what.person().unwrap().as_str()).collect();
    people.sort_unstable();
    assert_eq!(people, ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]);
    assert!(told.iter().all(|event| event.time == now()));
    let gone = store.undo_mark(&scope("t"), &"a".parse().unwrap(), crate::domain::RecordId::generate()).await;
    assert_eq!(gone.unwrap_err().code(), "record_not_found");
    assert_eq!(log(&store).await, told, "what does not take place is not told");
    let page = store.events(&scope("t"), 3, 5, 1000).await.unwrap();
    assert_eq!((numbers(&page.events), page.read_to, page.first), (vec![4, 5], 5, 1));
    let page = store.events(&scope("t"), 0, 8, 2).await.unwrap();
    assert_eq!((numbers(&page.events), page.read_to), (vec![1, 2], 2));
}

#[tokio::test]
async fn a_log_keeps_what_is_young_and_no_more_than_it_may() {
    let clock = ManualClock::at(now());
    let (store, _folder) = class(3, &clock).await;
    let mark = async |person: &str| {
        store.mark_photo(&scope("t"), photo("a", 1, &[person])).await.unwrap();
        clock.advance(SignedDuration::from_hours(1));
    };
    for n in 0..5 {
        mark(&format!("p{n}")).await;
    }
    assert_eq!(numbers(&log(&store).await), [3, 4, 5]);
    store.sweep_events(now() + 3.hours()).await.unwrap();
    assert_eq!(numbers(&log(&store).await), [4, 5]);
    assert_eq!(store.events(&scope("t"), 0, 5, 9).await.unwrap().first, 4);
    store.sweep_events(now() + 30.hours()).await.unwrap();
    assert!(log(&store).await.is_empty());
    mark("p5").await;
    assert_eq!(numbers(&log(&store).await), [6], "numbers are never used again");
    store.delete_person(&scope("t"), &id("p5"), now()).await.unwrap();
    assert!(log(&store).await.is_empty());
    assert!(store.check(|_| None).await.unwrap().is_sound());
}
