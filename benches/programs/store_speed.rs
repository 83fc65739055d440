//! How fast the store takes ready vectors, durably, and how fast a gallery is loaded from it.
//!
//! ```sh
//! cargo run --release -p rollcall-benches --bin store_speed -- --rows 1000000 /tmp/store-speed
//! cargo run --release -p rollcall-benches --bin store_speed -- --samples 20 /tmp/store-speed
//! ```
//!
//! The first fills a store, the second measures a start with a warm cache, enrolment, and rewriting the store while 16
//! clients enrol. One line of JSON a measurement. The vectors are random unit vectors of 512 numbers.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made should stop")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use jiff::Timestamp;
use rollcall::{
    domain::{
        FaceId, FaceSample, Grant, ModelId, Person, PersonId, Quality, Right, Standing, Tenant, TenantId, TenantScope,
    },
    galleries::Galleries,
    gallery::{GalleryOptions, SearchRequest},
    store::{ApiKey, Store, StoreOptions, Uploads},
};
use serde_json::{Value, json};

const DIMENSION: usize = 512;

#[derive(Parser)]
struct Args {
    /// Only fills the store up to so many samples; without it, loads what is there and enrols more.
    #[arg(long, default_value_t = 0)]
    rows: u64,
    /// Samples that a client enrols at once.
    #[arg(long, default_value_t = 20)]
    samples: u64,
    /// Seconds of each measurement of enrolment.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Where the store is.
    folder: PathBuf,
}

fn model() -> ModelId {
    ModelId { name: "store_speed".into(), dimension: DIMENSION as u32, postprocessing: 1 }
}

/// A unit vector that `seed` decides.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..DIMENSION).map(|_| next()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

fn sample(person: &PersonId, vector: Vec<f32>) -> FaceSample {
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    FaceSample {
        id: FaceId::generate(),
        person: person.clone(),
        model: model(),
        vector,
        score: 0.9,
        quality,
        source: None,
    }
}

fn scope() -> TenantScope {
    TenantScope::granted("t".parse().unwrap())
}

/// Enrols one person with `samples` samples.
async fn enrol(store: &Store, id: PersonId, samples: Vec<FaceSample>) {
    let person = Person::new(id.clone(), id.to_string(), Timestamp::UNIX_EPOCH);
    store.create_person(&scope(), person, &[], samples).await.unwrap();
}

fn print(what: &str, mut figures: Value) {
    figures["what"] = what.into();
    println!("{figures}");
}

/// Fills the store up to `rows` samples, five a person.
async fn fill(store: &Store, rows: u64) {
    if store.tenant(&scope()).await.is_err() {
        let id: TenantId = "t".parse().unwrap();
        let key = ApiKey::new([1; 32], Grant::admin(id.clone()), Timestamp::UNIX_EPOCH);
        let tenant = Tenant { id, name: "t".into(), created_at: Timestamp::UNIX_EPOCH, standing: Standing::Active };
        store.create_tenant(&Right::of_machine(), tenant, key).await.unwrap();
    }
    let have = store.usage(&scope()).await.unwrap();
    let (next, end) = (Arc::new(AtomicU64::new(have.people)), have.people + rows.saturating_sub(have.samples) / 5);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (store, next) = (store.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        break;
                    }
                    let id: PersonId = format!("person-{number:07}").parse().unwrap();
                    let samples = (0..5).map(|n| sample(&id, vector(number * 5 + n))).collect();
                    enrol(&store, id, samples).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

/// Samples a second that `clients` enrol, each waiting for its answer; the next search finds them.
async fn enrolment(store: &Store, clients: u64, args: &Args) -> f64 {
    let round = FaceId::generate();
    let (samples, until) = (args.samples, Duration::from_secs(args.seconds));
    // Made before the clock starts: whoever enrols ready vectors has them.
    let batch: Vec<Vec<f32>> = (0..samples).map(|n| vector(n + 77)).collect();
    let (batch, started) = (Arc::new(batch), Instant::now());
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (store, batch) = (store.clone(), Arc::clone(&batch));
            tokio::spawn(async move {
                let mut count = 0;
                while started.elapsed() < until {
                    let id: PersonId = format!("new-{round}-{client}-{count}").parse().unwrap();
                    let mut samples: Vec<FaceSample> = Vec::with_capacity(batch.len());
                    for vector in batch.iter() {
                        samples.push(sample(&id, vector.clone()));
                    }
                    count += samples.len() as u64;
                    enrol(&store, id, samples).await;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    count as f64 / started.elapsed().as_secs_f64()
}

/// Milliseconds of an fsync of 4 KiB in this folder: the median of 50.
fn fsync_ms(folder: &Path) -> f64 {
    let path = folder.join("fsync-probe");
    let mut file = File::create(&path).unwrap();
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            file.write_all(&[7; 4096]).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed()
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    took.sort();
    took[25].as_secs_f64() * 1e3
}

async fn measure(args: Args) {
    std::fs::create_dir_all(&args.folder).unwrap();
    let path = args.folder.join("store");
    print("fsync", json!({ "ms": fsync_ms(&args.folder) }));
    if args.rows > 0 {
        let store = Store::open(StoreOptions::new(&path)).unwrap();
        let started = Instant::now();
        fill(&store, args.rows).await;
        print("fill", json!({ "rows": args.rows, "s": started.elapsed().as_secs_f64() }));
        return;
    }
    let started = Instant::now();
    let store = Store::open(StoreOptions::new(&path)).unwrap();
    let open_s = started.elapsed().as_secs_f64();
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let gallery = galleries.tenant(&scope()).await.unwrap();
    let loaded_s = started.elapsed().as_secs_f64();
    let query = vector(3);
    let found = gallery.search(&SearchRequest { queries: &query, top: 1, roster: None }).unwrap();
    let all_s = started.elapsed().as_secs_f64();
    let similarity = found.per_query[0].first().map(|best| best.similarity);
    let figures = json!({ "rows": gallery.len(), "open_s": open_s, "load_s": loaded_s - open_s,
        "first_search_s": all_s - loaded_s, "all_s": all_s, "similarity": similarity });
    print("load", figures);
    drop(gallery);
    for clients in [1, 16] {
        if args.seconds == 0 {
            break;
        }
        let per_second = enrolment(&store, clients, &args).await;
        print("enrol", json!({ "clients": clients, "samples": args.samples, "samples_per_s": per_second }));
    }
    for clients in [0, 16] {
        let (rewritten, per_second) =
            tokio::join!(store.rewrite(Uploads::NONE, Timestamp::now), enrolment(&store, clients, &args));
        let done = rewritten.unwrap();
        print(
            "rewrite",
            json!({ "clients": clients, "s": done.took.as_secs_f64(), "held_ms": done.held.as_secs_f64() * 1e3,
                "bytes_before": done.bytes_before, "bytes_after": done.bytes_after, "samples_per_s": per_second }),
        );
    }
}

fn main() {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure(args));
}
