//! Galleries with a graph over a real store: built in the background, kept in a snapshot, never alone.

use std::{collections::BTreeMap, ops::Range};

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{Candidate, GalleryPlan},
    gallery::{GraphOptions, GraphReach, Plan},
};

const PEOPLE: Range<u64> = 0..1500;

fn options() -> GalleryOptions {
    let graph = GraphOptions { m: 8, ef_construction: 48 };
    GalleryOptions { plan: GalleryPlan::Hnsw, graph, ef_search: 64, ..GalleryOptions::default() }
}

fn samples(people: Range<u64>) -> Vec<FaceSample> {
    people.map(|n| sample(&format!("p{n}"), n, n)).collect()
}

/// A store whose tenant has the people.
async fn store_of(folder: &tempfile::TempDir, people: Range<u64>) -> Store {
    let store = store_with_tenants(folder).await;
    let writes = samples(people).into_iter().map(|sample| {
        let store = store.clone();
        async move { enrol(&store, "t", vec![sample]).await }
    });
    join_all(writes).await;
    store
}

fn galleries(store: &Store) -> Galleries {
    Galleries::new(store.clone(), model(), options())
}

/// The gallery once its graph is as wanted.
async fn with_graph(galleries: &Galleries, is_wanted: impl Fn(GraphReach) -> bool) -> Arc<TenantGallery> {
    for _ in 0..6000 {
        let gallery = galleries.tenant(&scope("t")).await.unwrap();
        if !gallery.needs_graph() && gallery.graph_reach().is_some_and(&is_wanted) {
            return gallery;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no graph comes");
}

/// The snapshot once it holds a graph over the people, all of whom the store has.
async fn stored_snapshot(store: &Store, people: Range<u64>) -> Vec<u8> {
    let nodes = (people.end - people.start) as usize;
    let same = TenantGallery::new(model(), options());
    same.insert(&samples(people)).unwrap();
    for _ in 0..6000 {
        let bytes = store.snapshot(&scope("t")).await.ok().flatten().unwrap_or_default();
        if same.restore_graph(&bytes).is_ok() && same.graph_reach() == Some(GraphReach { nodes, present: nodes }) {
            return bytes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no snapshot comes");
}

/// Checks searches for all of `people` against an exact scan, and that those of `absent` are not found.
fn assert_exact(gallery: &TenantGallery, people: Range<u64>, absent: Range<u64>) {
    for n in people.chain(absent.clone()) {
        let query = vector(n);
        let found = gallery.search(&request(&query, 3, None)).unwrap();
        assert_eq!(found.effort.plan, Plan::Hnsw);
        let faces = |found: &[Candidate]| found.iter().map(|candidate| candidate.face).collect::<Vec<_>>();
        let exact = faces(&gallery.search_exactly(&query, 3));
        assert_eq!(faces(&found.per_query[0]), exact, "person {n}");
        assert_eq!(exact[0] == face(n), !absent.contains(&n), "person {n}");
    }
}

#[tokio::test]
async fn a_graph_is_built_aside_kept_in_the_store_and_caught_up_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let first = galleries(&store);
    let gallery = with_graph(&first, |_| true).await;
    assert_exact(&gallery, 0..300, 0..0);
    stored_snapshot(&store, PEOPLE).await;
    // Few enough changes that the graph still counts: some people go, some come, one gets another vector.
    for n in 0..50 {
        store.delete_person(&scope("t"), &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
    }
    for sample in samples(1500..1550) {
        enrol(&store, "t", vec![sample]).await;
    }
    let changed = vec![sample("p60", 60, 9_000_060)];
    store.replace_faces(&scope("t"), &id("p60"), changed).await.unwrap();
    let gallery = first.tenant(&scope("t")).await.unwrap();
    assert_exact(&gallery, 100..300, 0..50);
    assert_exact(&gallery, 1500..1550, 60..61);
    drop((gallery, first));

    let second = galleries(&store);
    let gallery = with_graph(&second, |_| true).await;
    let GraphReach { nodes, present } = gallery.graph_reach().unwrap();
    assert_eq!(nodes - present, 51, "the graph of the first start, without those who went or changed");
    assert_exact(&gallery, 100..300, 0..50);
    assert_exact(&gallery, 1500..1550, 60..61);
    assert_eq!(best(&second, "t", 9_000_060).await.unwrap(), "p60");
}

#[tokio::test]
async fn a_graph_that_fell_behind_is_built_anew_while_searches_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let galleries = galleries(&store);
    with_graph(&galleries, |_| true).await;
    for n in 0..300 {
        store.delete_person(&scope("t"), &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
        for sample in samples(2000 + n..2001 + n) {
            enrol(&store, "t", vec![sample]).await;
        }
        let gallery = galleries.tenant(&scope("t")).await.unwrap();
        assert_exact(&gallery, 2000 + n..2001 + n, n..n + 1);
    }
    let gallery = with_graph(&galleries, |reach| reach.present >= 1300).await;
    assert_exact(&gallery, 300..600, 0..100);
}

#[tokio::test]
async fn no_snapshot_but_a_whole_and_fitting_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let whole = {
        let galleries = galleries(&store);
        with_graph(&galleries, |_| true).await;
        stored_snapshot(&store, PEOPLE).await
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 8;
    let mut newer = whole.clone();
    newer[8] += 1;
    let of_others = {
        let gallery = TenantGallery::new(model(), options());
        gallery.insert(&samples(5000..6500)).unwrap();
        gallery.build_graph().unwrap()
    };
    let damaged = [Vec::new(), vec![0; 3], whole[..whole.len() - 1].to_vec(), flipped, newer, of_others, vec![7; 5000]];
    for bytes in damaged {
        store.put_snapshot(&scope("t"), bytes.into()).await.unwrap();
        let galleries = galleries(&store);
        let gallery = with_graph(&galleries, |_| true).await;
        assert_exact(&gallery, 0..50, 3000..3001);
        // Built anew, what is stored can be taken again.
        stored_snapshot(&store, PEOPLE).await;
    }
}

#[tokio::test]
async fn ten_cycles_of_removing_and_adding_half_leave_everybody_findable() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let galleries = galleries(&store);
    let t = scope("t");
    with_graph(&galleries, |_| true).await;
    for cycle in 0..10 {
        let half = |n: &u64| n % 2 == cycle % 2;
        let going = PEOPLE.filter(half).map(|n| id(&format!("p{n}")));
        let deletions = going.map(|person| {
            let (store, t) = (&store, &t);
            async move { store.delete_person(t, &person, Timestamp::UNIX_EPOCH).await.unwrap() }
        });
        join_all(deletions).await;
        let gallery = galleries.tenant(&t).await.unwrap();
        assert_eq!(gallery.len(), 750);
        for n in PEOPLE.step_by(7) {
            let found = gallery.search(&request(&vector(n), 1, None)).unwrap();
            assert_eq!(found.per_query[0][0].face == face(n), !half(&n), "cycle {cycle}, person {n}");
        }
        let coming = samples(PEOPLE).into_iter().filter(|sample| half(&sample_number(sample)));
        join_all(coming.map(|sample| enrol(&store, "t", vec![sample]))).await;
        assert_exact(&galleries.tenant(&t).await.unwrap(), 0..100, 3000..3001);
    }
    let gallery = with_graph(&galleries, |_| true).await;
    assert_exact(&gallery, PEOPLE, 3000..3001);
}

/// The number that [`sample`] made a sample of.
fn sample_number(sample: &FaceSample) -> u64 {
    u128::from_be_bytes(*sample.id.as_bytes()) as u64
}

#[tokio::test]
async fn clusters_of_near_duplicates_larger_than_a_nodes_neighbours_are_all_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    let near = |n: u64| -> Vec<f32> {
        let raw: Vec<f32> =
            vector(n % 20).into_iter().zip(vector(n + 100)).map(|(centre, noise)| centre + 0.02 * noise).collect();
        let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.into_iter().map(|x| x / length).collect()
    };
    // Twenty clusters of a hundred; every tenth is an exact copy of its centre.
    let samples: Vec<FaceSample> = (0..2000)
        .map(|n| {
            let vector = if n / 20 % 10 == 0 { vector(n % 20) } else { near(n) };
            FaceSample { vector, ..sample(&format!("p{n:04}"), n, n) }
        })
        .collect();
    let galleries = galleries(&store);
    galleries.tenant(&scope("t")).await.unwrap();
    join_all(samples.iter().map(|sample| enrol(&store, "t", vec![sample.clone()]))).await;
    let gallery = with_graph(&galleries, |_| true).await;
    for sample in &samples {
        let found = gallery.search(&request(&sample.vector, 200, None)).unwrap();
        let itself = found.per_query[0].iter().find(|candidate| candidate.face == sample.id);
        assert!(itself.is_some_and(|itself| itself.similarity > 0.9999), "{}", sample.person);
        let exact = gallery.search_exactly(&sample.vector, 200);
        let similarities: Vec<f32> = found.per_query[0].iter().map(|c| c.similarity).collect();
        assert_eq!(exact.len(), similarities.len());
        let differs = exact.iter().zip(similarities).any(|(hit, found)| (hit.similarity - found).abs() > 1e-5);
        assert!(!differs, "{}", sample.person);
    }
}

#[tokio::test]
async fn an_end_during_a_build_does_not_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let slow = GraphOptions { m: 64, ef_construction: 2000 };
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions { graph: slow, ..options() });
    galleries.tenant(&scope("t")).await.unwrap();
    drop(galleries);
    assert_eq!(store.snapshot(&scope("t")).await.unwrap(), None, "called off, and nothing of it was stored");
    drop(store);
    Store::open(StoreOptions::new(folder.path())).unwrap();
}

#[derive(Debug, Clone)]
enum Step {
    Enrol(u64),
    Remove(u64),
    Restart,
    Spoil,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..1600).prop_map(Step::Enrol),
        6 => (0_u64..1600).prop_map(Step::Remove),
        1 => Just(Step::Restart),
        1 => Just(Step::Spoil),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn galleries_over_restarts_and_spoiled_snapshots_do_what_a_plain_map_does(
        steps in prop::collection::vec(step(), 60..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

async fn follow(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, 0..1200).await;
    let mut plain: BTreeMap<u64, Vec<f32>> = (0..1200).map(|n| (n, vector(n))).collect();
    let mut galleries = galleries(&store);
    let t = scope("t");
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Enrol(n) if plain.contains_key(&n) => {
                let changed = vec![sample(&format!("p{n}"), n, n + number as u64 * 10_000)];
                plain.insert(n, changed[0].vector.clone());
                store.replace_faces(&t, &id(&format!("p{n}")), changed).await.unwrap();
            }
            Step::Enrol(n) => {
                plain.insert(n, vector(n));
                enrol(&store, "t", samples(n..n + 1)).await;
            }
            Step::Remove(n) => {
                if plain.remove(&n).is_some() {
                    store.delete_person(&t, &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
                }
            }
            Step::Restart => galleries = self::galleries(&store),
            Step::Spoil => {
                let mut bytes = store.snapshot(&t).await.unwrap_or_default().unwrap_or_default();
                let at = (number * 7919) % bytes.len().max(1);
                bytes.truncate(at);
                bytes.extend([number as u8; 7]);
                store.put_snapshot(&t, bytes.into()).await.unwrap();
            }
        }
        let gallery = galleries.tenant(&t).await.unwrap();
        assert_eq!(gallery.len(), plain.len());
        let query = vector(number as u64 * 13);
        let found = gallery.search(&request(&query, 1, None)).unwrap();
        let dot = |vector: &Vec<f32>| query.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
        let exact = plain.values().map(dot).fold(f32::MIN, f32::max);
        assert!((found.per_query[0][0].similarity - exact).abs() < 1e-4);
    }
}
