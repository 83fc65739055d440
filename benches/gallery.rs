//! Searches over rosters and galleries of 512 numbers a row.
//!
//! `cargo bench -p rollcall-benches --bench gallery`; the resident bytes of a row are printed first.

#![expect(clippy::expect_used, reason = "a benchmark that cannot make its data should stop")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{collections::hash_map::DefaultHasher, hash::Hasher, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::{
    domain::{FaceId, FaceSample, GalleryPlan, ModelId, PersonId, Quality},
    gallery::{GalleryOptions, SearchRequest, TenantGallery},
};

const DIMENSION: usize = 512;
const ROWS: u64 = 100_000;

fn vector(seed: u64) -> Vec<f32> {
    let number = |k: usize| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        hasher.write_usize(k);
        (hasher.finish() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..DIMENSION).map(number).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

fn person(number: u64) -> PersonId {
    format!("person-{number}").parse().expect("letters, digits and a hyphen are an id")
}

/// A gallery of `rows` people with one sample each.
fn gallery(rows: u64) -> TenantGallery {
    let model = ModelId { name: "bench".into(), dimension: DIMENSION as u32, postprocessing: 1 };
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    let gallery = TenantGallery::new(model.clone(), GalleryOptions::default());
    for n in 0..rows {
        let (id, person, model, vector) = (FaceId::generate(), person(n), model.clone(), vector(n));
        let sample = FaceSample { id, person, model, vector, score: 0.9, quality, source: None };
        gallery.insert(&[sample]).expect("unit vectors are taken");
    }
    gallery
}

/// Resident bytes of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn benches(criterion: &mut Criterion) {
    let before = resident_bytes();
    let gallery = gallery(ROWS);
    let row_bytes = (resident_bytes() - before) as f64 / ROWS as f64;
    println!("resident bytes a row above its numbers: {:.0}", row_bytes - (4 * DIMENSION) as f64);

    let queries: Vec<f32> = (0..32).flat_map(|n| vector(1_000_000 + n)).collect();
    let roster: Vec<PersonId> = (0..60).map(|n| person(n * 997)).collect();
    let mut search = |name: &str, faces: usize, roster: Option<&[PersonId]>| {
        let request = SearchRequest { queries: &queries[..faces * DIMENSION], top: 2, roster };
        criterion.bench_function(name, |bencher| bencher.iter(|| gallery.search(black_box(&request))));
    };
    search("30 faces, roster of 60", 30, Some(&roster));
    for (name, plan) in [("exact", GalleryPlan::Exact), ("codes", GalleryPlan::Codes)] {
        gallery.set_plan(plan);
        for faces in [1, 32] {
            search(&format!("{name}: {faces} faces, gallery of {ROWS}"), faces, None);
        }
    }
}

criterion_group! {
    name = group;
    config = Criterion::default().sample_size(20);
    targets = benches
}
criterion_main!(group);
