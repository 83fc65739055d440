//! Galleries against a plain map that is searched naively, and galleries over a real store.

mod graphs;
mod pairs;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    domain::{
        Actor, FaceId, FaceSample, GalleryPlan, Grant, ModelId, Person, PersonId, Quality, Standing, Tenant,
        TenantScope,
    },
    store::{ApiKey, Store, StoreOptions},
};

const DIMENSION: usize = 32;

fn model() -> ModelId {
    ModelId { name: "test".into(), dimension: DIMENSION as u32, postprocessing: 1 }
}

fn id(text: &str) -> PersonId {
    text.parse().unwrap()
}

fn face(number: u64) -> FaceId {
    FaceId::from_bytes(u128::from(number).to_be_bytes())
}

/// A unit vector that `seed` decides.
fn vector(seed: u64) -> Vec<f32> {
    vector_of(DIMENSION, seed)
}

fn vector_of(dimension: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..dimension).map(|_| next()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

fn sample(person: &str, number: u64, seed: u64) -> FaceSample {
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    FaceSample {
        id: face(number),
        person: id(person),
        model: model(),
        vector: vector(seed),
        score: 0.9,
        quality,
        source: None,
    }
}

fn gallery(plan: GalleryPlan) -> TenantGallery {
    TenantGallery::new(model(), GalleryOptions { plan, ..GalleryOptions::default() })
}

fn request<'a>(queries: &'a [f32], top: usize, roster: Option<&'a [PersonId]>) -> SearchRequest<'a> {
    SearchRequest { queries, top, roster }
}

/// What a gallery should hold: vectors by person and sample.
type Plain = BTreeMap<PersonId, BTreeMap<FaceId, Vec<f32>>>;

/// The best `top` people of `plain` for `query`, naively.
fn naive(plain: &Plain, query: &[f32], top: usize, roster: Option<&[PersonId]>) -> Vec<(PersonId, f32)> {
    let dot = |vector: &Vec<f32>| query.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
    let mut scores: Vec<(PersonId, f32)> = plain
        .iter()
        .filter(|(person, _)| roster.is_none_or(|roster| roster.contains(person)))
        .map(|(person, faces)| (person.clone(), faces.values().map(dot).fold(f32::MIN, f32::max)))
        .collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    scores.truncate(top);
    scores
}

/// Checks the gallery against the map, over everybody and over a roster.
fn assert_same(gallery: &TenantGallery, plain: &Plain, seed: u64, top: usize) {
    let queries: Vec<f32> = (0..5).flat_map(|n| vector(seed + n)).collect();
    let roster: Vec<PersonId> =
        (0..12).step_by(3).map(|n| id(&format!("p{n}"))).chain([id("nobody"), id("p0")]).collect();
    let rows: usize = plain.values().map(BTreeMap::len).sum();
    assert_eq!((gallery.len(), gallery.people()), (rows, plain.len()));
    for roster in [None, Some(&roster[..])] {
        let result = gallery.search(&request(&queries, top, roster)).unwrap();
        assert_eq!((result.effort.plan == Plan::ExactRoster, result.per_query.len()), (roster.is_some(), 5));
        for (query, found) in queries.chunks(DIMENSION).zip(&result.per_query) {
            let expected = naive(plain, query, top, roster);
            assert_eq!(found.len(), expected.len());
            for (candidate, (person, similarity)) in found.iter().zip(&expected) {
                assert!((candidate.similarity - similarity).abs() < 1e-5);
                // Sums in another order may turn round what is equal but for rounding.
                let theirs = naive(plain, query, usize::MAX, None).into_iter().find(|(p, _)| *p == candidate.person);
                assert!((theirs.unwrap().1 - similarity).abs() < 1e-5, "{person} and {}", candidate.person);
                assert!(plain[&candidate.person].contains_key(&candidate.face));
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Vec<(u8, u64, u64)>),
    RemovePerson(u8),
    RemoveFaces(u8, Vec<u64>),
    Replace(u8, Vec<(u64, u64)>),
}

fn change() -> impl Strategy<Value = Change> {
    let person = 0_u8..12;
    let number = 0_u64..6;
    prop_oneof![
        prop::collection::vec((person.clone(), number.clone(), any::<u64>()), 0..8).prop_map(Change::Insert),
        person.clone().prop_map(Change::RemovePerson),
        (person.clone(), prop::collection::vec(number.clone(), 0..4)).prop_map(|(p, f)| Change::RemoveFaces(p, f)),
        (person, prop::collection::vec((number, any::<u64>()), 0..4)).prop_map(|(p, f)| Change::Replace(p, f)),
    ]
}

fn apply(gallery: &TenantGallery, plain: &mut Plain, change: Change) {
    let name = |person: u8| format!("p{person}");
    // A sample's id is its person's and its number's.
    let numbered = |person: u8, number: u64| u64::from(person) * 100 + number;
    let samples = |entries: &[(u8, u64, u64)]| -> Vec<FaceSample> {
        entries.iter().map(|&(person, number, seed)| sample(&name(person), numbered(person, number), seed)).collect()
    };
    let remember = |samples: &[FaceSample], plain: &mut Plain| {
        for sample in samples {
            plain.entry(sample.person.clone()).or_default().insert(sample.id, sample.vector.clone());
        }
    };
    match change {
        Change::Insert(entries) => {
            let samples = samples(&entries);
            gallery.insert(&samples).unwrap();
            remember(&samples, plain);
        }
        Change::RemovePerson(person) => {
            gallery.remove_person(&id(&name(person)));
            plain.remove(&id(&name(person)));
        }
        Change::RemoveFaces(person, numbers) => {
            let faces: Vec<FaceId> = numbers.iter().map(|&number| face(numbered(person, number))).collect();
            gallery.remove_faces(&id(&name(person)), &faces);
            if let Some(known) = plain.get_mut(&id(&name(person))) {
                known.retain(|face, _| !faces.contains(face));
            }
            plain.retain(|_, faces| !faces.is_empty());
        }
        Change::Replace(person, entries) => {
            let entries: Vec<_> = entries.into_iter().map(|(number, seed)| (person, number, seed)).collect();
            let samples = samples(&entries);
            gallery.replace(&id(&name(person)), &samples).unwrap();
            plain.remove(&id(&name(person)));
            remember(&samples, plain);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_gallery_does_what_a_plain_map_does(changes in prop::collection::vec(change(), 1..40), top in 0_usize..15) {
        let (gallery, mut plain) = (TenantGallery::new(model(), GalleryOptions::default()), Plain::new());
        for (n, change) in changes.into_iter().enumerate() {
            apply(&gallery, &mut plain, change);
            assert_same(&gallery, &plain, n as u64, top);
        }
    }
}

mod at_scale;

#[test]
fn every_sample_finds_itself_at_every_size() {
    for size in [0_u64, 1, 2, 26, 255, 256, 257, 1023, 1024, 1025, 2100] {
        let gallery = TenantGallery::new(model(), GalleryOptions::default());
        let samples: Vec<_> = (0..size).map(|n| sample(&format!("p{n}"), n, n)).collect();
        gallery.insert(&samples).unwrap();
        let queries: Vec<f32> = samples.iter().flat_map(|sample| sample.vector.clone()).collect();
        let result = gallery.search(&request(&queries, 2, None)).unwrap();
        assert_eq!((result.effort.rows_scanned, result.per_query.len()), (size as usize, size as usize));
        for (sample, found) in samples.iter().zip(&result.per_query) {
            assert_eq!((&found[0].person, found[0].face), (&sample.person, sample.id));
            assert!((found[0].similarity - 1.0).abs() < 1e-5);
            assert!(found[0].similarity <= 1.0, "a cosine is at most 1");
            assert_eq!(found.len(), 2.min(size as usize));
        }
        for n in (0..size).step_by(2) {
            gallery.remove_person(&id(&format!("p{n}")));
        }
        let result = gallery.search(&request(&queries, 1, None)).unwrap();
        for (n, found) in result.per_query.iter().enumerate() {
            let is_itself = found.first().is_some_and(|best| best.person == samples[n].person);
            assert_eq!(is_itself, n % 2 == 1, "{n} of {size}");
        }
    }
}

#[test]
fn ties_go_by_the_persons_id_then_by_the_sample() {
    let gallery = TenantGallery::new(model(), GalleryOptions::default());
    for (n, person) in ["c", "a", "d", "b"].into_iter().enumerate() {
        let n = n as u64;
        gallery.insert(&[sample(person, 20 + n, 7), sample(person, 10 + n, 7)]).unwrap();
    }
    let roster = ["d", "c", "b", "a"].map(id);
    for roster in [None, Some(&roster[..])] {
        let result = gallery.search(&request(&vector(7), 3, roster)).unwrap();
        let found: Vec<_> = result.per_query[0].iter().map(|c| (c.person.as_str(), c.face)).collect();
        assert_eq!(found, [("a", face(11)), ("b", face(13)), ("c", face(10))]);
    }
}

#[test]
fn bad_vectors_are_refused_and_nothing_is_added() {
    let gallery = TenantGallery::new(model(), GalleryOptions::default());
    let mut spoiled = Vec::new();
    for (at, value) in [(0, f32::NAN), (3, f32::INFINITY), (5, 2.0)] {
        let mut bad = sample("p", 1, 1);
        bad.vector[at] = value;
        spoiled.push(bad);
    }
    let mut zero = sample("p", 1, 1);
    zero.vector.fill(0.0);
    let mut short = sample("p", 1, 1);
    short.vector.pop();
    spoiled.extend([zero, short]);
    for bad in spoiled {
        let refused = gallery.insert(&[sample("q", 2, 2), bad.clone()]).unwrap_err();
        assert_eq!(refused.code(), "bad_vector");
        assert_eq!(gallery.search(&request(&bad.vector, 1, None)).unwrap_err().code(), "bad_vector");
        assert!(gallery.is_empty());
    }
    gallery.insert(&[sample("p", 3, 3)]).unwrap();
    assert!(gallery.replace(&id("p"), &[short_sample()]).is_err());
    assert_eq!(gallery.len(), 1, "a refused replacement leaves the old samples");
}

fn short_sample() -> FaceSample {
    let mut short = sample("p", 9, 9);
    short.vector.truncate(DIMENSION / 2);
    short
}

#[test]
fn samples_of_another_model_are_counted_and_never_found() {
    let gallery = TenantGallery::new(model(), GalleryOptions::default());
    let mut other = sample("p", 1, 1);
    other.model.postprocessing += 1;
    gallery.insert(&[other, sample("q", 2, 2)]).unwrap();
    assert_eq!((gallery.len(), gallery.of_other_models()), (1, 1));
    let result = gallery.search(&request(&vector(1), 5, None)).unwrap();
    assert_eq!(result.per_query[0].len(), 1);
    assert_eq!(result.per_query[0][0].person, id("q"));
}

#[test]
fn every_search_is_reported_under_its_plan() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&seen);
    let observer: SearchObserver = Arc::new(move |plan, _| report.lock().unwrap().push(plan));
    let gallery = TenantGallery::new(model(), GalleryOptions { observer: Some(observer), ..GalleryOptions::default() });
    gallery.search(&request(&vector(1), 5, None)).unwrap();
    gallery.search(&request(&vector(1), 5, Some(&[]))).unwrap();
    assert_eq!(*seen.lock().unwrap(), [Plan::ExactGallery, Plan::ExactRoster]);
    assert_eq!(Plan::ALL.map(Plan::name), ["exact_roster", "exact_gallery", "codes", "hnsw"]);
}

#[test]
fn searches_and_changes_at_once_see_whole_people() {
    let gallery = Arc::new(TenantGallery::new(model(), GalleryOptions::default()));
    gallery.insert(&(0..1500).map(|n| sample(&format!("p{n}"), n, n)).collect::<Vec<_>>()).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let changer = {
        let (gallery, stop) = (Arc::clone(&gallery), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut rounds = 0_u64;
            while !stop.load(Ordering::Relaxed) || rounds < 50 {
                let (person, seed) = (format!("x{}", rounds % 3), 1_000_000 + rounds);
                gallery.insert(&[sample(&person, seed, seed)]).unwrap();
                let found = gallery.search(&request(&vector(seed), 1, None)).unwrap();
                assert_eq!(found.per_query[0][0].face, face(seed), "an enrolment is found by the very next search");
                gallery.remove_person(&id(&person));
                let found = gallery.search(&request(&vector(seed), 5, None)).unwrap();
                assert!(
                    found.per_query[0].iter().all(|c| c.person != id(&person)),
                    "a removed person is found by none"
                );
                rounds += 1;
            }
        })
    };
    for n in 0..200 {
        let found = gallery.search(&request(&vector(n), 3, None)).unwrap();
        assert_eq!(found.per_query[0][0].face, face(n));
        assert_eq!(found.per_query[0].len(), 3);
    }
    stop.store(true, Ordering::Relaxed);
    changer.join().unwrap();
    assert_eq!(gallery.len(), 1500);
}

fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted(tenant.parse().unwrap())
}

async fn store_with_tenants(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(StoreOptions::new(folder.path())).unwrap();
    for (n, name) in ["t", "t2"].into_iter().enumerate() {
        let tenant = Tenant {
            id: name.parse().unwrap(),
            name: name.into(),
            created_at: Timestamp::UNIX_EPOCH,
            standing: Standing::Active,
        };
        let grant = Grant::admin(tenant.id.clone());
        let key = ApiKey::new([n as u8; 32], grant, Timestamp::UNIX_EPOCH);
        store.create_tenant(&Actor::Machine, tenant, key).await.unwrap();
    }
    store
}

async fn enrol(store: &Store, tenant: &str, samples: Vec<FaceSample>) {
    let id = samples[0].person.clone();
    let person = Person::new(id.clone(), id.to_string(), Timestamp::UNIX_EPOCH);
    store.create_person(&scope(tenant), person, &[], samples).await.unwrap();
}

async fn best(galleries: &Galleries, tenant: &str, seed: u64) -> Option<String> {
    let gallery = galleries.tenant(&scope(tenant)).await.unwrap();
    let result = gallery.search(&request(&vector(seed), 1, None)).unwrap();
    result.per_query[0].first().map(|best| best.person.to_string())
}

#[tokio::test]
async fn a_gallery_follows_its_store_and_is_made_anew_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let t = scope("t");
    enrol(&store, "t", vec![sample("p", 1, 1), sample("p", 2, 2)]).await;
    galleries.insert(&t, &[sample("p", 1, 1), sample("p", 2, 2)]).await.unwrap();
    assert!(galleries.loaded_tenants().is_empty(), "a change loads nothing");
    enrol(&store, "t2", vec![sample("p", 1, 3)]).await;
    assert_eq!(galleries.tenant(&t).await.unwrap().len(), 2);
    assert_eq!(galleries.tenant(&scope("t2")).await.unwrap().len(), 1);

    enrol(&store, "t", vec![sample("q", 5, 5)]).await;
    galleries.insert(&t, &[sample("q", 5, 5)]).await.unwrap();
    assert_eq!(best(&galleries, "t", 5).await.unwrap(), "q");
    store.delete_face(&t, &id("p"), face(1)).await.unwrap();
    galleries.remove_faces(&t, &id("p"), &[face(1)]).await;
    store.replace_faces(&t, &id("q"), vec![sample("q", 6, 6)]).await.unwrap();
    galleries.replace(&t, &id("q"), &[sample("q", 6, 6)]).await.unwrap();
    let followed = galleries.tenant(&t).await.unwrap();
    galleries.unload(&t);
    let anew = galleries.tenant(&t).await.unwrap();
    assert!(!Arc::ptr_eq(&followed, &anew));
    for seed in 1..7 {
        let search = |gallery: &TenantGallery| gallery.search(&request(&vector(seed), 5, None)).unwrap().per_query;
        assert_eq!(search(&followed), search(&anew));
    }
    store.delete_person(&t, &id("q"), Timestamp::UNIX_EPOCH).await.unwrap();
    galleries.remove_person(&t, &id("q")).await;
    assert_eq!(best(&galleries, "t", 6).await.unwrap(), "p");
    assert_eq!(galleries.loaded_tenants().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_searches_load_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    enrol(&store, "t", (0..100).map(|n| sample("p", n, n)).collect()).await;
    let galleries = Galleries::new(store, model(), GalleryOptions::default());
    let loads = (0..20).map(|_| {
        let galleries = galleries.clone();
        tokio::spawn(async move { galleries.tenant(&scope("t")).await.unwrap() })
    });
    let mut loaded = Vec::new();
    for load in loads.collect::<Vec<_>>() {
        loaded.push(load.await.unwrap());
    }
    assert!(loaded.iter().all(|gallery| Arc::ptr_eq(gallery, &loaded[0])));
    assert_eq!(loaded[0].len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_to_one_person_keep_one_order_in_store_and_gallery() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    enrol(&store, "t", vec![sample("p", 1, 1)]).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let changes = (0..40_u64).map(|n| {
        let (store, galleries) = (store.clone(), galleries.clone());
        tokio::spawn(async move {
            let (t, p) = (scope("t"), id("p"));
            if n % 10 == 0 {
                galleries.unload(&t);
            }
            galleries.tenant(&t).await.unwrap();
            let _guard = galleries.person_lock(&t, &p).await;
            let samples = vec![sample("p", 100 + n, 100 + n)];
            store.replace_faces(&t, &p, samples.clone()).await.unwrap();
            galleries.replace(&t, &p, &samples).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let stored = store.faces(&scope("t"), &id("p")).await.unwrap();
    let gallery = galleries.tenant(&scope("t")).await.unwrap();
    let found = gallery.search(&request(&stored[0].vector, 5, None)).unwrap();
    assert_eq!((stored.len(), gallery.len()), (1, 1));
    assert_eq!(found.per_query[0][0].face, stored[0].id);
}

#[tokio::test]
async fn stored_samples_that_cannot_be_searched_do_not_stop_a_load() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    let mut old = sample("p", 1, 1);
    old.model.name = "older".into();
    enrol(&store, "t", vec![old, short_sample(), sample("p", 2, 2)]).await;
    let gallery = Galleries::new(store, model(), GalleryOptions::default()).tenant(&scope("t")).await.unwrap();
    assert_eq!((gallery.len(), gallery.of_other_models()), (1, 1));
}

/// A store with `count` tenants of one person each: `n` has the sample `n`.
async fn many_tenants(folder: &tempfile::TempDir, count: u64) -> Store {
    let store = Store::open(StoreOptions::new(folder.path())).unwrap();
    for n in 0..count {
        let id: crate::domain::TenantId = format!("n{n}").parse().unwrap();
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_le_bytes());
        let key = ApiKey::new(hash, Grant::admin(id.clone()), Timestamp::UNIX_EPOCH);
        let tenant = Tenant { id, name: "n".into(), created_at: Timestamp::UNIX_EPOCH, standing: Standing::Active };
        store.create_tenant(&Actor::Machine, tenant, key).await.unwrap();
        enrol(&store, &format!("n{n}"), vec![sample("p", n, n)]).await;
    }
    store
}

fn loaded(galleries: &Galleries) -> Vec<String> {
    let mut names: Vec<_> = galleries.loaded_tenants().into_iter().map(|(tenant, _)| tenant.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn galleries_leave_memory_when_idle_or_when_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = many_tenants(&folder, 6).await;
    let galleries = Galleries::new(store, model(), GalleryOptions::default());
    let long = Duration::from_secs(3600);
    for n in 0..6 {
        galleries.tenant(&scope(&format!("n{n}"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    // The first is used again: it is not among those used longest ago.
    galleries.tenant(&scope("n0")).await.unwrap();
    let one = galleries.tenant(&scope("n5")).await.unwrap().memory_bytes() as u64;
    assert!(one > 0);
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 6 * one }), 0);
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 3 * one }), 3);
    assert_eq!(loaded(&galleries), ["n0", "n4", "n5"]);
    // The one used last stays, however large it is, until it is idle.
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 0 }), 2);
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: Duration::ZERO, bytes: u64::MAX }), 1);
    assert!(loaded(&galleries).is_empty());
    assert_eq!(best(&galleries, "n3", 3).await.unwrap(), "p", "loaded again on demand");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_tenants_in_little_memory_lose_no_change() {
    const TENANTS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let store = many_tenants(&folder, TENANTS).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let one = galleries.tenant(&scope("n0")).await.unwrap().memory_bytes() as u64;
    // Room for a tenth of them, and a moment's rest is idleness.
    let limits = MemoryLimits { idle: Duration::from_millis(2), bytes: one * TENANTS / 10 };
    let keeper = tokio::spawn(galleries.clone().keep_within(limits));
    let clients = (0..8_u64).map(|client| {
        let (store, galleries) = (store.clone(), galleries.clone());
        tokio::spawn(async move {
            for round in 0..60 {
                let n = (client * 37 + round * 101) % TENANTS;
                let (name, number) = (format!("n{n}"), 1_000_000 + client * 1000 + round);
                let person = format!("c{client}-{round}");
                if round % 2 == 0 {
                    best(&galleries, &name, 0).await.unwrap();
                }
                let enrolled = sample(&person, number, number);
                let guard = galleries.person_lock(&scope(&name), &id(&person)).await;
                enrol(&store, &name, vec![enrolled.clone()]).await;
                galleries.insert(&scope(&name), &[enrolled]).await.unwrap();
                drop(guard);
                assert_eq!(best(&galleries, &name, number).await.unwrap(), person, "found by the next search");
                if round % 3 == 0 {
                    let guard = galleries.person_lock(&scope(&name), &id(&person)).await;
                    store.delete_person(&scope(&name), &id(&person), Timestamp::UNIX_EPOCH).await.unwrap();
                    galleries.remove_person(&scope(&name), &id(&person)).await;
                    drop(guard);
                    assert_ne!(best(&galleries, &name, number).await.unwrap(), person, "found by none");
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    for n in 0..TENANTS {
        let scope = scope(&format!("n{n}"));
        let (stored, known) = (store.usage(&scope).await.unwrap(), galleries.tenant(&scope).await.unwrap());
        assert_eq!((stored.samples, stored.people), (known.len() as u64, known.people() as u64), "n{n}");
    }
    keeper.abort();
    galleries.unload_unused(MemoryLimits { idle: Duration::from_secs(3600), bytes: limits.bytes });
    let total: u64 = galleries.loaded_tenants().iter().map(|(_, gallery)| gallery.memory_bytes() as u64).sum();
    assert!(total <= limits.bytes);
}
