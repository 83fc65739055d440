//! Each network on one thread, at batches of 1, 8 and 16; `ROLLCALL_ISA` forces an instruction set.
//! Throughput counts images (faces, crops or photos).

#![expect(clippy::expect_used, reason = "a bench that cannot run has nobody to tell")]

use std::hint::black_box;

use candle_core::{DType, Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rollcall::nn::{HeadPoseNet, MiniFasNet, MobileFaceNet, Networks};

const BATCHES: [usize; 3] = [1, 8, 16];

fn images(count: usize, height: usize, width: usize) -> Tensor {
    Tensor::rand(0f32, 1.0, (count, height, width, 3), &Device::Cpu)
        .and_then(|images| images.to_dtype(DType::F32))
        .expect("memory for the input")
}

fn per_batch(criterion: &mut Criterion, name: &str, side_px: usize, mut forward: impl FnMut(&Tensor)) {
    let mut group = criterion.benchmark_group(name);
    for batch in BATCHES {
        let input = images(batch, side_px, side_px);
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(BenchmarkId::from_parameter(batch), &input, |bencher, input| {
            bencher.iter(|| forward(input));
        });
    }
}

fn nets(criterion: &mut Criterion) {
    let networks = Networks::embedded().expect("the embedded networks load");
    per_batch(criterion, "mobilefacenet", MobileFaceNet::SIDE_PX, |input| {
        black_box(networks.embedder.forward(input).expect("forward"));
    });
    per_batch(criterion, "minifasnet", MiniFasNet::SIDE_PX, |input| {
        black_box(networks.liveness.forward(input).expect("forward"));
    });
    per_batch(criterion, "headpose", HeadPoseNet::SIDE_PX, |input| {
        black_box(networks.head_pose.forward(input).expect("forward"));
    });
    let mut group = criterion.benchmark_group("yunet");
    for (height, width) in [(640, 640), (960, 1280)] {
        let input = images(1, height, width);
        group.bench_with_input(BenchmarkId::from_parameter(format!("{width}x{height}")), &input, |bencher, input| {
            bencher.iter(|| black_box(networks.detector.forward(input).expect("forward")));
        });
    }
}

criterion_group!(benches, nets);
criterion_main!(benches);
