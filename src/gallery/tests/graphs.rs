//! Galleries with a graph over a real store: built in the background, kept in a snapshot, never alone.

use std::{ops::Range, time::Duration};

use super::*;
use crate::{
    domain::GalleryPlan,
    gallery::{graph::GONE, snapshot, snapshot::Fingerprint, view::View},
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
    futures_util::future::join_all(writes).await;
    store
}

fn galleries(store: &Store) -> Galleries {
    Galleries::new(store.clone(), model(), options())
}

/// The gallery once its graph is as wanted.
async fn with_graph(galleries: &Galleries, is_wanted: impl Fn(&View) -> bool) -> Arc<TenantGallery> {
    for _ in 0..6000 {
        let gallery = galleries.tenant(&scope("t")).await.unwrap();
        let view = gallery.view();
        if view.graph.is_some() && !gallery.needs_graph() && is_wanted(&view) {
            return gallery;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no graph comes");
}

/// The snapshot once it holds the graph that the gallery has, of whose rows none was removed since.
async fn stored_snapshot(store: &Store, gallery: &TenantGallery) -> Vec<u8> {
    let view = gallery.view();
    let row_of =
        |found: Fingerprint| view.live_rows().find(|&row| Fingerprint::new(view.face(row), view.vector(row)) == found);
    for _ in 0..6000 {
        let bytes = store.snapshot(&scope("t")).await.ok().flatten().unwrap_or_default();
        let stored = snapshot::decode(&bytes, &model(), options().graph, row_of);
        if stored.is_ok_and(|stored| stored == **view.graph.as_ref().unwrap()) {
            return bytes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no snapshot comes");
}

/// Checks searches for all of `people` against an exact scan, and that those of `absent` are not found.
fn assert_exact(gallery: &TenantGallery, people: Range<u64>, absent: Range<u64>) {
    let view = gallery.view();
    for n in people.chain(absent.clone()) {
        let query = vector(n);
        let found = gallery.search(&request(&query, 3, None)).unwrap();
        assert_eq!(found.effort.plan, Plan::Hnsw);
        let exact = planner::search(&view, Plan::ExactGallery, &[&query], 3, 0).hits;
        let exact: Vec<_> = exact[0].iter().map(|hit| view.face(hit.row)).collect();
        assert_eq!(found.per_query[0].iter().map(|c| c.face).collect::<Vec<_>>(), exact, "person {n}");
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
    stored_snapshot(&store, &gallery).await;
    // Few enough changes that the graph still counts: some people go, some come, one gets another vector.
    for n in 0..50 {
        store.delete_person(&scope("t"), &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
        first.remove_person(&scope("t"), &id(&format!("p{n}"))).await;
    }
    for sample in samples(1500..1550) {
        enrol(&store, "t", vec![sample.clone()]).await;
        first.insert(&scope("t"), &[sample]).await.unwrap();
    }
    let changed = vec![sample("p60", 60, 9_000_060)];
    store.replace_faces(&scope("t"), &id("p60"), changed.clone()).await.unwrap();
    first.replace(&scope("t"), &id("p60"), &changed).await.unwrap();
    assert_exact(&gallery, 100..300, 0..50);
    assert_exact(&gallery, 1500..1550, 60..61);
    drop((gallery, first));

    let second = galleries(&store);
    let gallery = with_graph(&second, |_| true).await;
    let gone = gallery.view().graph.as_ref().unwrap().rows().iter().filter(|&&row| row == GONE).count();
    assert_eq!(gone, 51, "the graph of the first start, without those who went or changed");
    assert_exact(&gallery, 100..300, 0..50);
    assert_exact(&gallery, 1500..1550, 60..61);
    assert_eq!(best(&second, "t", 9_000_060).await.unwrap(), "p60");
}

#[tokio::test]
async fn a_graph_that_fell_behind_is_built_anew_while_searches_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let galleries = galleries(&store);
    let gallery = with_graph(&galleries, |_| true).await;
    for n in 0..300 {
        store.delete_person(&scope("t"), &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
        galleries.remove_person(&scope("t"), &id(&format!("p{n}"))).await;
        for sample in samples(2000 + n..2001 + n) {
            enrol(&store, "t", vec![sample.clone()]).await;
            galleries.insert(&scope("t"), &[sample]).await.unwrap();
        }
        assert_exact(&gallery, 2000 + n..2001 + n, n..n + 1);
    }
    let all_there = |view: &View| view.graph.as_ref().is_some_and(|graph| graph.rows().len() >= 1300);
    let gallery = with_graph(&galleries, all_there).await;
    assert_exact(&gallery, 300..600, 0..100);
}

#[tokio::test]
async fn a_rebuild_without_the_removed_rows_takes_the_graph_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let galleries = galleries(&store);
    let gallery = with_graph(&galleries, |_| true).await;
    for n in 0..100 {
        galleries.remove_person(&scope("t"), &id(&format!("p{n}"))).await;
    }
    let before = gallery.view();
    assert_eq!(gallery.rebuild().unwrap().removed, 100);
    let view = gallery.view();
    assert_eq!((before.len, view.len), (1500, 1400));
    let nodes = view.graph.as_ref().unwrap().rows().iter().zip(before.graph.as_ref().unwrap().rows());
    for (&new, &old) in nodes {
        let is_gone = before.removed.contains(old);
        assert!(if is_gone { new == GONE } else { view.face(new) == before.face(old) }, "row {old} is now {new}");
    }
    assert_exact(&gallery, 100..400, 0..100);
    // A graph that was built over the old rows is no longer taken as it is.
    let stale = before.graph.as_deref().unwrap().renumbered(|row| row);
    assert!(!gallery.set_graph(stale, &before));
}

#[tokio::test]
async fn no_snapshot_but_a_whole_and_fitting_one_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_of(&folder, PEOPLE).await;
    let whole = {
        let galleries = galleries(&store);
        let gallery = with_graph(&galleries, |_| true).await;
        stored_snapshot(&store, &gallery).await
    };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 8;
    let mut newer = whole.clone();
    newer[8] += 1;
    let stale = {
        let view = TenantGallery::new(model(), options()).view();
        let graph = snapshot::decode(&whole, &model(), options().graph, |_| Some(0)).unwrap();
        let unknown = |row: u32| Fingerprint { face: face(1_000_000), checksum: row };
        assert_eq!(view.len, 0);
        snapshot::encode(&graph, &model(), unknown)
    };
    let damaged = [Vec::new(), vec![0; 3], whole[..whole.len() - 1].to_vec(), flipped, newer, stale, vec![7; 5000]];
    for bytes in damaged {
        store.put_snapshot(&scope("t"), bytes.into()).await.unwrap();
        let galleries = galleries(&store);
        let gallery = with_graph(&galleries, |_| true).await;
        assert_exact(&gallery, 0..50, 3000..3001);
        // Built anew, what is stored can be taken again.
        let stored = stored_snapshot(&store, &gallery).await;
        snapshot::decode(&stored, &model(), options().graph, |_| Some(0)).unwrap();
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
        for n in PEOPLE.filter(half) {
            galleries.remove_person(&t, &id(&format!("p{n}"))).await;
        }
        let gallery = galleries.tenant(&t).await.unwrap();
        assert_eq!(gallery.len(), 750);
        for n in PEOPLE.step_by(7) {
            let found = gallery.search(&request(&vector(n), 1, None)).unwrap();
            assert_eq!(found.per_query[0][0].face == face(n), !half(&n), "cycle {cycle}, person {n}");
        }
        for sample in samples(PEOPLE).into_iter().filter(|sample| half(&sample_number(sample))) {
            galleries.insert(&t, &[sample]).await.unwrap();
        }
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
    let gallery = galleries.tenant(&scope("t")).await.unwrap();
    galleries.insert(&scope("t"), &samples).await.unwrap();
    drop(gallery);
    let gallery = with_graph(&galleries, |_| true).await;
    for sample in &samples {
        let found = gallery.search(&request(&sample.vector, 200, None)).unwrap();
        let itself = found.per_query[0].iter().find(|candidate| candidate.face == sample.id);
        assert!(itself.is_some_and(|itself| itself.similarity > 0.9999), "{}", sample.person);
        let exact = planner::search(&gallery.view(), Plan::ExactGallery, &[&sample.vector], 200, 0).hits;
        let similarities: Vec<f32> = found.per_query[0].iter().map(|c| c.similarity).collect();
        let differs = exact[0].iter().zip(similarities).any(|(hit, found)| (hit.similarity - found).abs() > 1e-5);
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
                store.replace_faces(&t, &id(&format!("p{n}")), changed.clone()).await.unwrap();
                galleries.replace(&t, &id(&format!("p{n}")), &changed).await.unwrap();
            }
            Step::Enrol(n) => {
                plain.insert(n, vector(n));
                enrol(&store, "t", samples(n..n + 1)).await;
                galleries.insert(&t, &samples(n..n + 1)).await.unwrap();
            }
            Step::Remove(n) => {
                if plain.remove(&n).is_some() {
                    store.delete_person(&t, &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
                    galleries.remove_person(&t, &id(&format!("p{n}"))).await;
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
