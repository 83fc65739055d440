//! `rollcall bench`: accuracy and speed, one JSON object a line. `http` drives a running server; the others use the
//! server's own parts and touch no data folder.

mod gallery;
mod http;
mod nets;
mod pairs;
mod photos;
mod reports;
mod strangers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Common, say};
use crate::{
    app::App,
    config::Settings,
    error::{Error, Result},
    pipeline::Tools,
    runtime::Faults,
    vision::{
        Photo,
        decode::{decode, read_header},
    },
};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Verification on labelled pairs: how well one threshold tells same from different.
    Pairs(pairs::PairsArgs),
    /// Strangers who would be named: each face of a photo against all others of that photo.
    Strangers(strangers::StrangersArgs),
    /// Photos a second through the whole pipeline.
    Photos(photos::PhotosArgs),
    /// Searches of a gallery of ready vectors by each plan, and such vectors through the store.
    Gallery(gallery::GalleryArgs),
    /// Milliseconds of each network on one thread.
    Nets(nets::NetsArgs),
    /// Requests a second of a running server, and how long each took.
    Http(http::HttpArgs),
    /// Reports of a made-up term: seconds, bytes and memory of each kind.
    Reports(reports::ReportsArgs),
}

/// What every bench on photos takes.
#[derive(Debug, Clone, Copy, Args)]
struct DetectArgs {
    /// The photo's longest side is scaled down to this before detection.
    #[arg(long, default_value_t = 1280, value_name = "PIXELS")]
    long_side: u32,
}

pub(super) fn run(common: &Common, args: &BenchArgs) -> Result<()> {
    match &args.what {
        Bench::Pairs(args) => pairs::run(common, args),
        Bench::Strangers(args) => strangers::run(common, args),
        Bench::Photos(args) => photos::run(common, args),
        Bench::Nets(args) => nets::run(common, args),
        Bench::Gallery(args) => gallery::run(common, args),
        Bench::Http(args) => http::run(common, args),
        Bench::Reports(args) => reports::run(args),
    }
}

/// The server's parts over a throw-away store.
struct Parts {
    app: App,
    data: tempfile::TempDir,
}

impl Parts {
    /// Builds them on the current actix system, with the settings' own values but for `changes`.
    async fn build(common: &Common, mut changes: Vec<(&'static str, String)>) -> Result<Self> {
        let data =
            tempfile::tempdir().map_err(|error| Error::storage("cannot make a temporary folder").with_source(error))?;
        changes.push(("server.data", data.path().to_string_lossy().into_owned()));
        let settings = Settings::load(common.config.as_deref(), &changes)?;
        Ok(Self { app: App::build(settings, Faults::default()).await?, data })
    }

    /// The throw-away folder.
    fn folder(&self) -> &Path {
        self.data.path()
    }

    fn tools(&self) -> &Tools {
        self.app.services().pipeline().tools()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.app.stop();
    }
}

/// Runs `bench` over the server's parts.
fn with_parts<T>(
    common: &Common,
    changes: Vec<(&'static str, String)>,
    bench: impl AsyncFnOnce(&Parts) -> Result<T>,
) -> Result<T> {
    actix::System::new().block_on(async {
        let parts = Parts::build(common, changes).await?;
        bench(&parts).await
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::invalid(format!("{}: cannot be read", path.display())).with_source(error))
}

/// Reads and decodes a photo as the server does.
fn read_photo(path: &Path, tools: &Tools) -> Result<Photo> {
    let bytes = read_file(path)?;
    let limits = tools.options.decode_limits;
    read_header(&bytes, &limits)
        .and_then(|header| decode(&bytes, &header, &limits))
        .map_err(|error| Error::invalid(format!("{}: cannot be decoded", path.display())).with_source(error))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Prints a bench's line.
fn report(line: &impl Serialize) -> Result<()> {
    let unwritable = |error| Error::internal("the figures cannot be written as JSON").with_source(error);
    say(serde_json::to_string(line).map_err(unwritable)?)
}

/// Rounded to `places` decimals.
fn round(number: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (number * factor).round() / factor
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The photos of a bench.
#[derive(Debug, Clone, Args)]
struct PhotoFiles {
    /// Photos.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}
