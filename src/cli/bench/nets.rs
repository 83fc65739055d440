//! `rollcall bench nets`: each network alone, on one thread.

use std::time::Instant;

use candle_core::{Device, Tensor};
use clap::Args;
use serde::Serialize;

use super::{super::Common, report, round};
use crate::{
    error::{Error, Result},
    nn::{Arch, HeadPoseNet, MiniFasNet, MobileFaceNet, Networks},
};

/// Passes before the clock starts.
const WARM_UP: usize = 5;
/// Rows and columns of the detector's inputs.
const DETECTOR_SIZES: [(usize, usize); 2] = [(640, 640), (960, 1280)];

#[derive(Debug, Args)]
pub(super) struct NetsArgs {
    /// Threads of a network: always one, since the server spreads photos and faces instead.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1))]
    threads: u16,
    /// Faces in a batch of the embedding network.
    #[arg(long, num_args = 1.., default_values_t = [1, 8, 16], value_name = "FACES")]
    batch: Vec<usize>,
    /// Passes that are timed.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    /// Faces, channels, rows, columns: the order that other runtimes use.
    shape: [usize; 4],
    threads: u16,
    median_ms: f64,
    min_ms: f64,
    ms_per_item: f64,
}

/// One network on inputs of one size.
struct Case {
    arch: Arch,
    batch: usize,
    rows: usize,
    columns: usize,
}

pub(super) fn run(common: &Common, args: &NetsArgs) -> Result<()> {
    let settings = common.settings()?;
    let networks = Networks::load(settings.models.folder().as_deref(), settings.nn.precision)?;
    for case in cases(&args.batch) {
        let line = case.time(&networks, args)?;
        report(&line)?;
    }
    Ok(())
}

fn cases(batches: &[usize]) -> Vec<Case> {
    let square = |arch, batch, side| Case { arch, batch, rows: side, columns: side };
    let detector = DETECTOR_SIZES.map(|(rows, columns)| Case { arch: Arch::Yunet, batch: 1, rows, columns });
    let embedder = batches.iter().map(|&batch| square(Arch::MobileFaceNet, batch, MobileFaceNet::SIDE_PX));
    let others = [square(Arch::MiniFasNet, 1, MiniFasNet::SIDE_PX), square(Arch::HeadPose, 1, HeadPoseNet::SIDE_PX)];
    detector.into_iter().chain(embedder).chain(others).collect()
}

impl Case {
    fn time(&self, networks: &Networks, args: &NetsArgs) -> Result<Line> {
        let input = self.input()?;
        for _ in 0..WARM_UP {
            self.pass(networks, &input)?;
        }
        let mut milliseconds = Vec::with_capacity(args.repeat as usize);
        for _ in 0..args.repeat {
            let start = Instant::now();
            self.pass(networks, &input)?;
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
        milliseconds.sort_by(f64::total_cmp);
        let median = median(&milliseconds);
        Ok(Line {
            what: self.arch.name(),
            shape: [self.batch, 3, self.rows, self.columns],
            threads: args.threads,
            median_ms: round(median, 3),
            min_ms: round(milliseconds[0], 3),
            ms_per_item: round(median / self.batch as f64, 3),
        })
    }

    /// Noise between 0 and 1, the same every time.
    fn input(&self) -> Result<Tensor> {
        let shape = (self.batch, self.rows, self.columns, 3);
        let mut state = 1_u32;
        let noise = (0..self.batch * self.rows * self.columns * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        });
        Tensor::from_vec(noise.collect::<Vec<f32>>(), shape, &Device::Cpu)
            .map_err(|error| Error::invalid("a batch holds at least one face").with_source(error))
    }

    fn pass(&self, networks: &Networks, input: &Tensor) -> Result<()> {
        match self.arch {
            Arch::Yunet => networks.detector.forward(input).map(drop),
            Arch::MobileFaceNet => networks.embedder.forward(input).map(drop),
            Arch::MiniFasNet => networks.liveness.forward(input).map(drop),
            Arch::HeadPose => networks.head_pose.forward(input).map(drop),
        }
    }
}

/// Of sorted numbers, at least one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_odd_and_even_many() {
        for (sorted, expected) in [(&[3.0][..], 3.0), (&[1.0, 2.0, 9.0], 2.0), (&[1.0, 2.0, 4.0, 9.0], 3.0)] {
            assert!((median(sorted) - expected).abs() < 1e-9, "{sorted:?}");
        }
    }
}
