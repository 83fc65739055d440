//! The path from bytes to the networks' inputs, on a synthetic photo of 12 megapixels and faces of 300 pixels.

use std::{hint::black_box, io::Cursor};

use criterion::{Criterion, criterion_group, criterion_main};
use rollcall::{
    domain::{FaceBox, Turned},
    vision::{
        DecodeLimits, Photo,
        align::{ALIGNED_INPUT, align_into},
        crops::{HEAD_POSE_INPUT, LIVENESS_INPUT, head_pose_crop_into, liveness_crop_into},
        decode,
        detector_input::detector_input,
        orientation::{Orientation, upright},
        read_header,
        resize::fit_longest_side,
    },
};

const WIDTH: u32 = 4032;
const HEIGHT: u32 = 3024;
const DETECTOR_SIDE: u32 = 1280;

/// Soft waves with a little noise, about as hard to compress as a photo.
fn photo() -> Photo {
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    let mut noise = 1_u32;
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = (x as f32 / 40.0).sin() * 50.0 + (y as f32 / 55.0).cos() * 50.0;
            let level = 128.0 + wave + (noise >> 28) as f32;
            pixels.extend([level as u8, (level * 0.8) as u8, (level * 0.6) as u8]);
        }
    }
    Photo::new(WIDTH, HEIGHT, pixels).unwrap_or_else(|error| unreachable!("the length fits: {error}"))
}

fn encoded(photo: &Photo, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        photo.pixels(),
        photo.width(),
        photo.height(),
        image::ExtendedColorType::Rgb8,
        format,
    )
    .unwrap_or_else(|error| unreachable!("writing to memory: {error}"));
    bytes.into_inner()
}

fn decoding(criterion: &mut Criterion) {
    let photo = photo();
    let limits = DecodeLimits::default();
    let mut group = criterion.benchmark_group("decode_12mp");
    group.sample_size(10);
    for format in [image::ImageFormat::Jpeg, image::ImageFormat::Png] {
        let bytes = encoded(&photo, format);
        let roomy = DecodeLimits { max_bytes: bytes.len(), ..limits };
        group.bench_function(format!("{format:?}"), |bencher| {
            bencher.iter(|| read_header(black_box(&bytes), &roomy).and_then(|header| decode(&bytes, &header, &roomy)));
        });
    }
    group.bench_function("upright_quarter_turn", |bencher| {
        bencher.iter_batched(
            || photo.pixels().to_vec(),
            |pixels| upright(WIDTH, HEIGHT, pixels, Orientation::Rotate90),
            criterion::BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn preparing(criterion: &mut Criterion) {
    let photo = photo();
    let mut group = criterion.benchmark_group("prepare");
    group.bench_function("fit_1280", |bencher| bencher.iter(|| fit_longest_side(black_box(&photo), DETECTOR_SIDE)));
    let mut buffer = Vec::new();
    group.bench_function("detector_input_1280", |bencher| {
        bencher.iter(|| {
            if let Ok(copy) = fit_longest_side(black_box(&photo), DETECTOR_SIDE) {
                buffer = detector_input(&copy, std::mem::take(&mut buffer)).tensor;
            }
        });
    });
    let landmarks = [[1120.0, 1000.0], [1230.0, 1010.0], [1170.0, 1070.0], [1125.0, 1130.0], [1220.0, 1140.0]];
    let mut input = vec![0.0; ALIGNED_INPUT];
    group.bench_function("align", |bencher| bencher.iter(|| align_into(black_box(&photo), &landmarks, &mut input)));
    let face = FaceBox { x1: 1020.0, y1: 850.0, x2: 1320.0, y2: 1250.0 };
    let mut input = vec![0.0; LIVENESS_INPUT];
    group.bench_function("liveness", |bencher| {
        bencher.iter(|| liveness_crop_into(black_box(&photo), &face, Turned::No, &mut input));
    });
    let mut input = vec![0.0; HEAD_POSE_INPUT];
    group.bench_function("head_pose", |bencher| {
        bencher.iter(|| head_pose_crop_into(black_box(&photo), &face, Turned::No, &mut input));
    });
    group.finish();
}

criterion_group!(benches, decoding, preparing);
criterion_main!(benches);
