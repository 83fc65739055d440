//! `rollcall calibrate`: what the enrolled samples tell about thresholds.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, TenantArgs, door::Door, files::table, say};
use crate::{
    domain::recognition::calibration::Evidence,
    error::{Error, Result},
    service::{
        people::duplicates::DuplicatePair,
        recognition::calibration::{
            CalibrationParams, CalibrationReport, RecommendedThreshold, ThresholdRates, percent,
        },
    },
};

/// Look-alikes in the table.
const MAX_TOLD: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "\
Samples of one person are compared with each other and with those of all others. At a threshold, FMR is the share of
pairs of different people that reach it, FNMR the share of pairs of one person that do not. A false name is a stranger
who is taken for one of the roster: 1 - (1 - FMR)^(roster * faces * samples a person), which is rather too high, as the
margin is left out. Bounds hold with 95 % confidence; nothing is extrapolated.
--json prints one object: {\"what\":\"calibration\", and what GET /api/v1/reports/calibration answers}")]
pub(super) struct CalibrateArgs {
    /// People whom a photo's faces are compared with.
    #[arg(long, default_value_t = CalibrationParams::default().roster)]
    roster: usize,
    /// Faces of strangers in a photo.
    #[arg(long, default_value_t = CalibrationParams::default().faces)]
    faces: usize,
    /// The chance that one of them is named, at most.
    #[arg(long, value_name = "CHANCE", default_value_t = CalibrationParams::default().false_names)]
    false_names: f64,
    /// Write a picture of the curves here.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print a JSON line instead of tables.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tenant: TenantArgs,
}

pub(super) fn run(common: &Common, args: &CalibrateArgs) -> Result<()> {
    let &CalibrateArgs { roster, faces, false_names, .. } = args;
    let params = CalibrationParams { roster, faces, false_names };
    let settings = common.settings()?;
    let report =
        actix::System::new().block_on(async { Door::open(settings, &args.tenant).await?.calibrate(&params).await })?;
    if let Some(path) = &args.svg {
        fs::write(path, report.svg()?)
            .map_err(|error| Error::invalid(format!("{} cannot be written", path.display())).with_source(error))?;
    }
    if args.json { say_json(&report) } else { say_tables(&report) }
}

fn say_json(report: &CalibrationReport) -> Result<()> {
    let unwritable = |error| Error::internal("the report cannot be written").with_source(error);
    let mut object = serde_json::to_value(report).map_err(unwritable)?;
    object["what"] = json!("calibration");
    say(object)
}

fn say_tables(report: &CalibrationReport) -> Result<()> {
    let CalibrationReport { people, samples, genuine, impostor, wanted, .. } = report;
    say(format_args!("{people} people, {samples} samples"))?;
    say(format_args!(
        "{} pairs of one person and {} of {} pairs of different people compared",
        genuine.compared, impostor.compared, impostor.of
    ))?;
    say(format_args!(
        "wanted: a false name in at most {} of photos, {} people on the roster, {} strangers in a photo",
        percent(wanted.false_names),
        wanted.roster,
        wanted.faces
    ))?;
    for remark in &report.remarks {
        say(format_args!("note: {}", remark.message))?;
    }
    say("")?;
    say(thresholds(report))?;
    if report.look_alikes.is_empty() {
        return Ok(());
    }
    let mut alike = table(&["look alike", "", "similarity"]);
    for DuplicatePair { people, similarity, .. } in report.look_alikes.iter().take(MAX_TOLD) {
        let [first, second] = [0, 1].map(|at| people.get(at).map(ToString::to_string).unwrap_or_default());
        alike.add_row([first, second, format!("{similarity:.3}")]);
    }
    say("")?;
    say(alike)
}

fn thresholds(report: &CalibrationReport) -> comfy_table::Table {
    let mut thresholds = table(&["threshold", "", "FMR", "at most", "FNMR", "at most", "false names", "at most"]);
    let mut row = |what: &str, rates: &ThresholdRates| {
        let share = |share: Option<f64>| share.map_or("unknown".to_owned(), percent);
        thresholds.add_row([
            what.to_owned(),
            format!("{:.3}", rates.threshold),
            share(rates.fmr.map(|fmr| fmr.rate)),
            share(rates.fmr.map(|fmr| fmr.at_most)),
            share(rates.fnmr.map(|fnmr| fnmr.rate)),
            share(rates.fnmr.map(|fnmr| fnmr.at_most)),
            share(rates.false_names),
            share(rates.false_names_at_most),
        ]);
    };
    row("now, within a roster", &report.roster);
    row("now, in the whole gallery", &report.gallery);
    if let Some(RecommendedThreshold { evidence, rates }) = &report.recommended {
        let what = match evidence {
            Evidence::Shown => "recommended",
            Evidence::TooFewPairs => "no pair reaches it",
        };
        row(what, rates);
    }
    thresholds
}
