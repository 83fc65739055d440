//! `rollcall bench strangers`: leave one out. Every other face of a photo is the gallery, so every name is wrong.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{super::Common, DetectArgs, PhotoFiles, dot, file_name, read_photo, report, round, with_parts};
use crate::{
    domain::{NamingRules, Turned},
    error::Result,
    pipeline::{Tools, detect::detect_faces, embed::embed_faces, messages::Appearance},
};

#[derive(Debug, Args)]
pub(super) struct StrangersArgs {
    #[command(flatten)]
    photos: PhotoFiles,
    #[command(flatten)]
    detect: DetectArgs,
    /// The least similarity, raw cosine [default: the model's for a roster].
    #[arg(long, value_name = "COSINE")]
    threshold: Option<f32>,
    /// The least lead over the next face [default: the model's].
    #[arg(long, value_name = "COSINE")]
    margin: Option<f32>,
    /// The least width of a face that is named [default: the model's].
    #[arg(long, value_name = "PIXELS")]
    min_width: Option<f32>,
    /// The least detection score of a face that is named [default: the model's].
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f32>,
}

#[derive(Serialize)]
struct PhotoLine {
    what: &'static str,
    file: String,
    faces: usize,
    fit_to_be_named: usize,
    named: usize,
}

#[derive(Serialize)]
struct AllLine {
    what: &'static str,
    file: &'static str,
    faces: usize,
    named: usize,
    threshold: f64,
    margin: f64,
    min_width: f64,
    min_score: f64,
}

pub(super) fn run(common: &Common, args: &StrangersArgs) -> Result<()> {
    let changes = vec![("detect.long_side_px", args.detect.long_side.to_string())];
    with_parts(common, changes, async |parts| {
        let tools = parts.tools();
        let rules = rules(args, tools);
        let (mut faces, mut named) = (0, 0);
        for path in &args.photos.files {
            let line = leave_one_out(path, &rules, tools)?;
            (faces, named) = (faces + line.faces, named + line.named);
            report(&line)?;
        }
        let exact = |number: f32| round(number.into(), 4);
        report(&AllLine {
            what: "strangers",
            file: "all",
            faces,
            named,
            threshold: exact(rules.threshold),
            margin: exact(rules.margin),
            min_width: exact(rules.min_width_px),
            min_score: exact(rules.min_score),
        })
    })
}

fn rules(args: &StrangersArgs, tools: &Tools) -> NamingRules {
    let model = tools.networks.get().embedder.defaults();
    NamingRules {
        threshold: args.threshold.unwrap_or(model.roster_threshold),
        margin: args.margin.unwrap_or(model.margin),
        min_width_px: args.min_width.unwrap_or(model.min_width_px),
        min_score: args.min_score.unwrap_or(model.min_score),
        one_look: model.gallery_threshold,
    }
}

fn leave_one_out(path: &Path, rules: &NamingRules, tools: &Tools) -> Result<PhotoLine> {
    let networks = tools.networks.get();
    let photo = read_photo(path, tools)?;
    let found = detect_faces(&photo, Turned::No, &networks, &tools.options)?;
    let faces = embed_faces(&photo, &found, &networks, false)?;
    let fit: Vec<bool> =
        found.iter().map(|face| face.width_px() >= rules.min_width_px && face.score >= rules.min_score).collect();
    let named = (0..faces.len()).filter(|&index| fit[index] && is_named(&faces, index, rules)).count();
    Ok(PhotoLine {
        what: "strangers",
        file: file_name(path),
        faces: faces.len(),
        fit_to_be_named: fit.iter().filter(|&&fit| fit).count(),
        named,
    })
}

/// Whether the plain rule takes the face for one of the others.
fn is_named(faces: &[Appearance], index: usize, rules: &NamingRules) -> bool {
    let query = &faces[index].embedding.vector;
    let others = faces.iter().enumerate().filter(|&(other, _)| other != index);
    let cosines = others.map(|(_, face)| dot(query, &face.embedding.vector));
    // Nobody at all is as unlike as can be.
    let (best, next) =
        cosines.fold(
            (-1.0, -1.0),
            |(best, next), cosine: f32| {
                if cosine > best { (cosine, best) } else { (best, next.max(cosine)) }
            },
        );
    best >= rules.threshold && best - next >= rules.margin
}
