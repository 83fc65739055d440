//! Photos through the real pipeline with the real networks, from a JPEG's bytes to the faces or their vectors, on all
//! cores. The photos are composed of the tests' portraits. Throughput counts photos.

#![expect(clippy::expect_used, reason = "a bench that cannot run has nobody to tell")]

use std::{path::Path, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use rollcall::{
    app::App,
    config::Settings,
    domain::{TenantScope, recognition::liveness::LivenessPolicy},
    pipeline::{
        Pipeline,
        messages::EncodedImage,
        request::{FaceChoice, Wanted},
    },
    runtime::{Faults, ServiceClass, Turn},
};

const PORTRAITS: [&str; 5] = ["obama", "hopper", "biden", "obama2", "obama3"];
/// Faces across and down, and the width of each portrait in pixels.
const CLASSES: [(usize, usize, u32); 2] = [(4, 3, 320), (8, 4, 160)];
/// Photos under way at once for each thread, so that none waits for the next.
const PHOTOS_PER_THREAD: usize = 3;
/// How long a photo may wait for memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// A class photo of `columns` × `rows` portraits, as a JPEG.
fn class_photo(columns: usize, rows: usize, side: u32) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/portraits");
    let portraits: Vec<RgbImage> = PORTRAITS
        .iter()
        .map(|shot| image::open(folder.join(format!("{shot}.jpg"))).expect("a portrait of the fixtures").to_rgb8())
        .map(|portrait| imageops::resize(&portrait, side, side, imageops::FilterType::Triangle))
        .collect();
    let mut photo = RgbImage::new(columns as u32 * side, rows as u32 * side);
    for place in 0..columns * rows {
        let (left, top) = ((place % columns) as u32 * side, (place / columns) as u32 * side);
        imageops::replace(&mut photo, &portraits[place % portraits.len()], left.into(), top.into());
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&photo).expect("writing to memory");
    jpeg.into()
}

/// What a bulk job asks for, without a gallery to search.
fn wanted(embed: bool) -> Wanted {
    Wanted {
        scope: TenantScope::granted("bench".parse().expect("a good id")),
        class: ServiceClass::Bulk,
        faces: FaceChoice::All,
        turned: true,
        embed,
        measure: false,
        liveness: LivenessPolicy::Off,
        pose: false,
        search: None,
        mark: None,
        annotate: false,
        copy: None,
    }
}

/// One photo through the pipeline; returns the number of its faces.
async fn faces(pipeline: &Pipeline, photo: &Bytes, wanted: &Wanted) -> rollcall::error::Result<usize> {
    let turn = Turn::new(wanted.class, "bench");
    let reserved = pipeline.tools().budget.reserve_within(&turn, photo.len() as u64, PATIENCE).await;
    let image = EncodedImage { bytes: photo.clone(), held: reserved.expect("memory for a photo") };
    let replies = pipeline.run(vec![image], wanted.clone()).await?;
    Ok(replies.into_iter().map(|reply| reply.expect("a photo that can be read").faces.len()).sum())
}

fn photos(criterion: &mut Criterion) {
    let data = tempfile::tempdir().expect("a temporary folder");
    let changes = vec![("server.data", data.path().to_string_lossy().into_owned())];
    let settings = Settings::load(None, &changes).expect("the default settings");
    let system = actix::System::new();
    let app = system.block_on(App::build(settings, Faults::default())).expect("the server's parts");
    let pipeline = app.services().pipeline();
    let at_once = pipeline.tools().options.threads.get() * PHOTOS_PER_THREAD;
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10).throughput(Throughput::Elements(at_once as u64));
    for (columns, rows, side) in CLASSES {
        let photo = class_photo(columns, rows, side);
        for (name, embed) in [("detect", false), ("detect_embed", true)] {
            let wanted = wanted(embed);
            let pass = || system.block_on(try_join_all((0..at_once).map(|_| faces(pipeline, &photo, &wanted))));
            let found: usize = pass().expect("photos go through").into_iter().sum();
            assert_eq!(found, at_once * columns * rows, "every portrait is found");
            let id = BenchmarkId::new(name, format!("{} faces", columns * rows));
            group.bench_function(id, |bencher| bencher.iter(|| pass().expect("photos go through")));
        }
    }
    group.finish();
    app.stop();
}

criterion_group!(benches, photos);
criterion_main!(benches);
