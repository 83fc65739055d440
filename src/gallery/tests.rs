//! Galleries against a plain map that is searched naively.

mod graphs;
mod pairs;
mod samples;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use proptest::prelude::*;
use testing::FencedLines;

use self::samples::{DIMENSION, face, id, model, sample, short_sample, vector, vector_of};
use super::*;
use domain::{FaceId, FaceSample, GalleryPlan, ModelId, Negative, PersonId};

/// Columns end at fences.
#[global_allocator]
static ALLOCATOR: FencedLines = FencedLines;

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
            let known = plain.remove(&id(&name(person))).unwrap_or_default();
            let gone: Vec<FaceId> = known.into_keys().collect();
            gallery.exchange(&id(&name(person)), &gone, &samples).unwrap();
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
    assert!(gallery.exchange(&id("p"), &[face(3)], &[short_sample()]).is_err());
    assert_eq!(gallery.len(), 1, "a refused replacement leaves the old samples");
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
fn two_people_are_as_alike_as_their_nearest_samples_unless_they_were_told_apart() {
    let gallery = gallery(GalleryPlan::Auto);
    gallery.insert(&[sample("a", 1, 1), sample("a", 2, 2), sample("b", 3, 3), sample("b", 4, 2)]).unwrap();
    let alike = |one: &str, other: &str| gallery.likeness(&id(one), &id(other));
    assert!((alike("a", "b") - 1.0).abs() < 1e-6 && alike("a", "b") <= 1.0);
    assert_eq!(alike("a", "b").to_bits(), alike("b", "a").to_bits());
    assert_eq!(alike("a", "nobody").to_bits(), (-1.0_f32).to_bits());
    gallery.remove_faces(&id("b"), &[face(4)]);
    let product = |one, other| vector(one).iter().zip(vector(other)).map(|(x, y)| x * y).sum::<f32>();
    assert!((alike("a", "b") - product(1, 3).max(product(2, 3))).abs() < 1e-5);
    let (person, of, vector, created_at) = (id("b"), Some(id("a")), vector(1), jiff::Timestamp::UNIX_EPOCH);
    gallery.add_negative(Negative { id: face(9), person, of, model: model(), vector, created_at });
    assert!([alike("a", "b"), alike("b", "a")].into_iter().all(|alike| alike < -0.99));
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
