//! `rollcall bench pairs`: labelled pairs of portraits, told apart by one threshold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{super::Common, DetectArgs, dot, mean, read_file, read_photo, report, round, with_parts};
use crate::{
    domain::Turned,
    error::{Error, Result},
    pipeline::{
        Tools,
        detect::{choose, detect_faces},
        embed::embed_faces,
        request::FaceChoice,
    },
};

/// The threshold whose accuracy is always reported.
const ROSTER_THRESHOLD: f64 = 0.40;
/// Thresholds that are tried: from, to, how many.
const TRIED: (f64, f64, usize) = (-0.2, 0.9, 441);

#[derive(Debug, Args)]
pub(super) struct PairsArgs {
    /// A table with the columns a, b and same (1 or 0); the images lie beside it.
    #[arg(value_name = "PAIRS.csv")]
    table: PathBuf,
    #[command(flatten)]
    detect: DetectArgs,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    pairs: usize,
    unreadable: usize,
    accuracy: f64,
    #[serde(rename = "accuracy_at_0.40")]
    accuracy_at_roster_threshold: f64,
    threshold: f64,
    same_min: Option<f64>,
    same_mean: Option<f64>,
    other_max: Option<f64>,
    other_mean: Option<f64>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pair {
    a: String,
    b: String,
    same: bool,
}

/// A pair's similarity, and whether it is one person.
type Scored = (f64, bool);

pub(super) fn run(common: &Common, args: &PairsArgs) -> Result<()> {
    let text = String::from_utf8(read_file(&args.table)?)
        .map_err(|_| Error::invalid(format!("{}: not UTF-8 text", args.table.display())))?;
    let pairs = parse(&text)?;
    let folder = args.table.parent().unwrap_or(Path::new(""));
    let changes = vec![("detect.long_side_px", args.detect.long_side.to_string())];
    let scored = with_parts(common, changes, async |parts| score(&pairs, folder, parts.tools()))?;
    report(&line(&scored, pairs.len())?)
}

/// Reads the table; columns are found by their names.
fn parse(text: &str) -> Result<Vec<Pair>> {
    let bad =
        || Error::invalid("the table wants the columns a, b and same, separated by commas").with_code("bad_table");
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let header: Vec<&str> = lines.next().ok_or_else(bad)?.split(',').map(str::trim).collect();
    let column = |name| header.iter().position(|&column| column == name).ok_or_else(bad);
    let (a, b, same) = (column("a")?, column("b")?, column("same")?);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let cell = |index: usize| cells.get(index).copied().ok_or_else(bad);
            Ok(Pair { a: cell(a)?.to_owned(), b: cell(b)?.to_owned(), same: cell(same)? == "1" })
        })
        .collect()
}

/// The pairs whose images both show a face.
fn score(pairs: &[Pair], folder: &Path, tools: &Tools) -> Result<Vec<Scored>> {
    let names: BTreeSet<&String> = pairs.iter().flat_map(|pair| [&pair.a, &pair.b]).collect();
    let mut vectors = BTreeMap::new();
    for name in names {
        if let Some(vector) = largest_face(&folder.join(name), tools)? {
            vectors.insert(name, vector);
        }
    }
    let scored =
        pairs.iter().filter_map(|pair| Some((dot(vectors.get(&pair.a)?, vectors.get(&pair.b)?) as f64, pair.same)));
    Ok(scored.collect())
}

/// The vector of an image's largest face, if it shows one.
fn largest_face(path: &Path, tools: &Tools) -> Result<Option<Vec<f32>>> {
    let networks = tools.networks.get();
    let photo = read_photo(path, tools)?;
    let faces = detect_faces(&photo, Turned::No, &networks, &tools.options)?;
    if faces.is_empty() {
        return Ok(None);
    }
    let face = choose(faces, FaceChoice::Largest)?;
    let embedded = embed_faces(&photo, &face, &networks, false)?;
    Ok(embedded.into_iter().next().map(|appearance| appearance.embedding.vector))
}

fn line(scored: &[Scored], pairs: usize) -> Result<Line> {
    if scored.is_empty() {
        return Err(Error::invalid("no pair shows two faces").with_code("no_pairs"));
    }
    let (same, other): (Vec<&Scored>, Vec<&Scored>) = scored.iter().partition(|(_, same)| *same);
    let cosines = |scored: Vec<&Scored>| -> Vec<f64> { scored.into_iter().map(|(cosine, _)| *cosine).collect() };
    let (same, other) = (cosines(same), cosines(other));
    let (best, threshold) = best_threshold(scored);
    let rounded = |number: Option<f64>| number.map(|number| round(number, 3));
    Ok(Line {
        what: "pairs",
        pairs: scored.len(),
        unreadable: pairs - scored.len(),
        accuracy: round(best, 4),
        accuracy_at_roster_threshold: round(accuracy(scored, ROSTER_THRESHOLD), 4),
        threshold: round(threshold, 3),
        same_min: rounded(same.iter().copied().reduce(f64::min)),
        same_mean: rounded(mean(&same)),
        other_max: rounded(other.iter().copied().reduce(f64::max)),
        other_mean: rounded(mean(&other)),
    })
}

/// The highest accuracy and the highest threshold that reaches it.
fn best_threshold(scored: &[Scored]) -> (f64, f64) {
    let (from, to, tried) = TRIED;
    (0..tried)
        .map(|step| from + (to - from) * step as f64 / (tried - 1) as f64)
        .map(|threshold| (accuracy(scored, threshold), threshold))
        .fold((0.0, from), |best, tried| if tried.0 >= best.0 { tried } else { best })
}

/// The share of pairs that the threshold tells rightly.
fn accuracy(scored: &[Scored], threshold: f64) -> f64 {
    let right = scored.iter().filter(|&&(cosine, same)| (cosine >= threshold) == same).count();
    right as f64 / scored.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let pairs = parse("same, b, a\n1,y.jpg,x.jpg\n\n0,z.jpg,x.jpg\n").unwrap();
        assert_eq!(pairs[0], Pair { a: "x.jpg".into(), b: "y.jpg".into(), same: true });
        assert!(!pairs[1].same);
        assert_eq!(parse("a,b\nx,y").unwrap_err().code(), "bad_table");
        assert_eq!(parse("a,b,same\nx,y").unwrap_err().code(), "bad_table");
    }

    #[test]
    fn the_line_sums_the_pairs_up() {
        let scored = [(0.8, true), (0.5, true), (0.45, false), (0.1, false)];
        let line = line(&scored, 5).unwrap();
        assert_eq!((line.pairs, line.unreadable), (4, 1));
        assert_eq!((line.accuracy, line.accuracy_at_roster_threshold), (1.0, 0.75));
        assert_eq!((line.same_min, line.other_max), (Some(0.5), Some(0.45)));
        assert!((0.49..=0.5).contains(&line.threshold), "{}", line.threshold);
    }
}
