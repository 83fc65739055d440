//! How alike samples are, against counting every pair by hand.

use std::{collections::BTreeSet, num::NonZeroUsize};

use super::*;
use domain::{
    Candidate,
    recognition::calibration::{Curves, Histogram},
};
use runtime::{CancelToken, ComputeOptions, ComputePool, JobSpec, Lingers, NoObserver, Rest, ServiceClass, Turn};

const ALL: PairLimits = PairLimits { impostor_pairs: u64::MAX, searches: usize::MAX, look_alikes: 20 };

/// A unit vector of four halves, so that cosines are exact: multiples of a quarter.
fn exact_vector(seed: u64) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSION];
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while vector.iter().filter(|x| **x != 0.0).count() < 4 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        vector[(state >> 32) as usize % DIMENSION] = if state >> 60 & 1 == 0 { 0.5 } else { -0.5 };
    }
    vector
}

/// `samples` of people with one to four each.
fn people(samples: u64) -> Vec<FaceSample> {
    let person = |n: u64| format!("p{}", n / 10 * 4 + [0, 1, 1, 2, 2, 2, 3, 3, 3, 3][(n % 10) as usize]);
    (0..samples).map(|n| FaceSample { vector: exact_vector(n), ..sample(&person(n), n, 0) }).collect()
}

fn cosine(a: &FaceSample, b: &FaceSample) -> f32 {
    a.vector.iter().zip(&b.vector).map(|(a, b)| a * b).sum()
}

/// In a gallery from which somebody was removed.
async fn found(samples: &[FaceSample], limits: PairLimits) -> Pairs {
    let gallery = Arc::new(gallery(GalleryPlan::Auto));
    gallery.insert(samples).unwrap();
    let gone = FaceSample { vector: samples[0].vector.clone(), ..sample("gone", 999_999, 0) };
    gallery.insert(std::slice::from_ref(&gone)).unwrap();
    gallery.remove_person(&gone.person);
    let (threads, lingers) = (NonZeroUsize::new(2).unwrap(), Lingers::default());
    let observer = Arc::new(NoObserver);
    let options = ComputeOptions { threads, lingers, observer, rest: Rest::default() };
    let pool = ComputePool::new(options).unwrap();
    let turn = Turn::new(ServiceClass::Bulk, "t");
    let job = JobSpec { turn, stage: "test", stage_rank: 0, cancel: CancelToken::default() };
    pairs(&pool, &job, &gallery, limits).await.unwrap()
}

#[tokio::test]
async fn every_pair_is_counted_once_on_its_side() {
    // More than two blocks, and a part of one.
    let samples = people(600);
    let found = found(&samples, ALL).await;
    let (mut genuine, mut impostor) = (Histogram::default(), Histogram::default());
    for (at, a) in samples.iter().enumerate() {
        for b in &samples[at + 1..] {
            if a.person == b.person { &mut genuine } else { &mut impostor }.add(cosine(a, b));
        }
    }
    assert_eq!((found.people, found.samples, found.searches), (240, 600, 600));
    assert_eq!((&found.genuine, &found.impostor), (&genuine, &impostor));
    assert_eq!(found.impostor_pairs, impostor.pairs());
}

#[tokio::test]
#[expect(clippy::float_cmp, reason = "the cosines of these vectors are exact")]
async fn look_alikes_are_nearest_others_best_first_and_each_pair_once() {
    let mut samples = people(600);
    // One face under two names, both of whom have other samples.
    samples[18].vector = samples[599].vector.clone();
    let pairs = found(&samples, ALL).await.look_alikes;
    let named: Vec<[&str; 2]> = pairs.iter().map(|pair| [pair[0].person.as_str(), pair[1].person.as_str()]).collect();
    let mut twins = [samples[18].person.as_str(), samples[599].person.as_str()];
    twins.sort_unstable();
    assert!(named.contains(&twins) && pairs[0][0].similarity == 1.0, "{named:?}");
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), 20);
    assert!(named.iter().all(|[first, second]| first < second));
    assert!(pairs.is_sorted_by(|a, b| a[0].similarity >= b[0].similarity));
    let sample_of = |one: &Candidate| samples.iter().find(|sample| sample.id == one.face).unwrap();
    let nearest_of = |one: &FaceSample| {
        let others = samples.iter().filter(|other| other.person != one.person);
        others.map(|other| cosine(one, other)).fold(-1.0, f32::max)
    };
    for pair in &pairs {
        let [a, b] = [sample_of(&pair[0]), sample_of(&pair[1])];
        assert_eq!((&a.person, &b.person), (&pair[0].person, &pair[1].person));
        assert_eq!(pair[0].similarity, cosine(a, b));
        assert!(cosine(a, b) == nearest_of(a) || cosine(a, b) == nearest_of(b), "{pair:?}");
    }
    // Whoever is not listed is less alike, or as much.
    let unlisted = samples.iter().filter(|sample| !named.concat().contains(&sample.person.as_str()));
    let last = pairs[19][0].similarity;
    assert!(unlisted.map(nearest_of).all(|similarity| similarity <= last));
}

#[tokio::test]
async fn of_a_large_gallery_the_same_part_is_taken_every_time_and_all_genuine_pairs() {
    let samples = people(3000);
    let limits = PairLimits { impostor_pairs: 1_600_000, searches: 100, look_alikes: 5 };
    let (part, whole) = (found(&samples, limits).await, found(&samples, ALL).await);
    assert_eq!(part.genuine, whole.genuine);
    assert_eq!((part.searches, part.look_alikes.len()), (100, 5));
    let compared = part.impostor.pairs();
    assert!((800_000..2_400_000).contains(&compared), "{compared} of {}", whole.impostor.pairs());
    assert_eq!(part.impostor_pairs, whole.impostor.pairs());
    assert_eq!(part, found(&samples, limits).await);
    // It is like the whole.
    let rate = |pairs: &Pairs| Curves::of(&pairs.genuine, &pairs.impostor).fmr(0.25).unwrap().rate;
    assert!((rate(&part) / rate(&whole) - 1.0).abs() < 0.05, "{} {}", rate(&part), rate(&whole));
}

#[tokio::test]
async fn a_single_sample_makes_no_pair() {
    let alone = found(&people(1), ALL).await;
    assert_eq!((alone.people, alone.genuine.pairs(), alone.impostor.pairs()), (1, 0, 0));
    assert_eq!(alone.look_alikes.len(), 0);
}
