//! `rollcall bench photos`: whole photos through the real pipeline, from the file's bytes to the faces' vectors.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{super::Common, DetectArgs, Parts, PhotoFiles, read_file, report, round, with_parts};
use crate::{
    domain::{TenantScope, recognition::liveness::LivenessPolicy},
    error::{Error, Result},
    pipeline::{
        full,
        messages::EncodedImage,
        request::{FaceChoice, Wanted, turn_of},
    },
    runtime::ServiceClass,
    service::access::first_start::DEFAULT_TENANT,
};

/// Photos under way for each thread, so that none ever waits for the next file.
const PHOTOS_PER_THREAD: usize = 3;
/// How long a photo may wait for memory.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(super) struct PhotosArgs {
    #[command(flatten)]
    photos: PhotoFiles,
    #[command(flatten)]
    detect: DetectArgs,
    /// Compute threads.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// How long to measure, at least.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Score the liveness of every face, whatever its size.
    #[arg(long)]
    liveness: bool,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    threads: u16,
    liveness: bool,
    long_side: u32,
    photos_per_s: f64,
    faces_per_s: f64,
}

pub(super) fn run(common: &Common, args: &PhotosArgs) -> Result<()> {
    let changes = vec![
        ("detect.long_side_px", args.detect.long_side.to_string()),
        ("pipeline.compute_threads", args.threads.to_string()),
        ("liveness.min_width_px", "0".to_owned()),
    ];
    let threads = args.threads as usize;
    with_parts(common, changes, async |parts| {
        let drive = Drive { parts, wanted: wanted(args.liveness)?, at_once: threads * PHOTOS_PER_THREAD };
        let files = &args.photos.files;
        // Every thread has seen every photo before the clock starts.
        let warm_up = files.iter().cycle().take(files.len() * threads);
        drive.run(warm_up).await?;
        let start = Instant::now();
        let limit = Duration::from_secs_f64(args.seconds.max(0.0));
        let (photos, faces) = drive.run(files.iter().cycle().take_while(|_| start.elapsed() < limit)).await?;
        let seconds = start.elapsed().as_secs_f64();
        report(&Line {
            what: "photos",
            threads: args.threads,
            liveness: args.liveness,
            long_side: args.detect.long_side,
            photos_per_s: round(photos as f64 / seconds, 2),
            faces_per_s: round(faces as f64 / seconds, 1),
        })
    })
}

/// Vectors of all faces, as a bulk job asks for them, without a gallery to search.
fn wanted(liveness: bool) -> Result<Wanted> {
    Ok(Wanted {
        scope: TenantScope::granted(DEFAULT_TENANT.parse()?),
        class: ServiceClass::Bulk,
        faces: FaceChoice::All,
        turned: true,
        embed: true,
        measure: false,
        liveness: if liveness { LivenessPolicy::Passive } else { LivenessPolicy::Off },
        pose: false,
        search: None,
        mark: None,
        annotate: false,
        copy: None,
    })
}

/// Keeps the pipeline full.
struct Drive<'a> {
    parts: &'a Parts,
    wanted: Wanted,
    at_once: usize,
}

impl Drive<'_> {
    /// Sends the photos through; returns how many there were, and their faces.
    async fn run<'f>(&self, files: impl Iterator<Item = &'f std::path::PathBuf>) -> Result<(usize, usize)> {
        stream::iter(files.map(|file| self.photo(file)))
            .buffer_unordered(self.at_once)
            .try_fold((0, 0), async |(photos, faces), found| Ok((photos + 1, faces + found)))
            .await
    }

    /// One photo, read anew each time; returns the number of its faces.
    async fn photo(&self, file: &Path) -> Result<usize> {
        let pipeline = self.parts.app.services().pipeline();
        let bytes = read_file(file)?;
        let turn = turn_of(self.wanted.class, &self.wanted.scope);
        let held = pipeline.tools().budget.reserve_within(&turn, bytes.len() as u64, PATIENCE).await;
        let image = EncodedImage { held: held.map_err(full)?, bytes: bytes.into() };
        let replies = pipeline.run(vec![image], self.wanted.clone()).await?;
        let mut faces = 0;
        for reply in replies {
            let outcome = reply.map_err(|failure| {
                Error::invalid(format!("{}: cannot be used", file.display())).with_source(failure.error)
            })?;
            faces += outcome.faces.len();
        }
        Ok(faces)
    }
}
