//! What is to be known before a report's figures are relied on, in plain words.

use super::{CalibrationReport, RecommendedThreshold, Remark};
use crate::domain::recognition::calibration::Evidence;

/// With fewer pairs than this a curve is coarse.
const FEW_PAIRS: u64 = 300;

pub(super) fn remarks(report: &CalibrationReport) -> Vec<Remark> {
    [of_genuine(report), of_impostors(report), of_recommended(report), of_look_alikes(report)]
        .into_iter()
        .flatten()
        .map(|(code, message)| Remark { code: code.into(), message })
        .collect()
}

fn of_genuine(report: &CalibrationReport) -> Option<(&'static str, String)> {
    match report.genuine.compared {
        0 => Some((
            "no_genuine_pairs",
            "Nobody has two samples, so how often people are missed (FNMR) is not known: enrol second photos.".into(),
        )),
        few if few < FEW_PAIRS => Some(("few_genuine_pairs", few_pairs(few, "one person"))),
        _ => None,
    }
}

fn of_impostors(report: &CalibrationReport) -> Option<(&'static str, String)> {
    match report.impostor.compared {
        0 => Some((
            "no_impostor_pairs",
            "There are no two people with samples, so how often strangers match (FMR) is not known.".into(),
        )),
        few if few < FEW_PAIRS => Some(("few_impostor_pairs", few_pairs(few, "different people"))),
        some if some < report.impostor.of => {
            let all = report.impostor.of;
            Some(("some_impostor_pairs", format!("Of {all} pairs of different people {some} were compared.")))
        }
        _ => None,
    }
}

fn few_pairs(pairs: u64, of: &str) -> String {
    let bound = percent((3.0 / pairs as f64).min(1.0));
    format!("There are {pairs} pairs of samples of {of}: even without an error their rate may be {bound}.")
}

fn of_recommended(report: &CalibrationReport) -> Option<(&'static str, String)> {
    match &report.recommended {
        Some(RecommendedThreshold { evidence: Evidence::TooFewPairs, rates }) => Some((
            "too_few_pairs",
            format!(
                "The wanted FMR of {} is lower than {} pairs can show. From {:.3} on none of them matches: an FMR of at \
                 most {}, a false name in at most {} of photos.",
                percent(report.wanted_fmr),
                report.impostor.compared,
                rates.threshold,
                percent(rates.fmr.map_or(1.0, |fmr| fmr.at_most)),
                percent(rates.false_names_at_most.unwrap_or(1.0)),
            ),
        )),
        None if report.impostor.compared > 0 => {
            Some(("same_face", "Different people have the very same face: no threshold tells them apart.".into()))
        }
        _ => None,
    }
}

fn of_look_alikes(report: &CalibrationReport) -> Option<(&'static str, String)> {
    let is_alike = |similarity: f32| f64::from(similarity) >= report.roster.threshold;
    let alike = report.look_alikes.iter().filter(|pair| is_alike(pair.similarity)).count();
    let more = if alike == report.look_alikes.len() { " or more" } else { "" };
    (alike > 0).then(|| {
        let message = format!(
            "{alike}{more} pairs of people are as similar as the threshold within a roster asks. If some of them are one \
             person enrolled twice, merge them first: they raise the FMR and the recommended threshold."
        );
        ("look_alikes", message)
    })
}

/// A share for people, with digits that count.
pub fn percent(share: f64) -> String {
    let share = share * 100.0;
    if share == 0.0 || share >= 0.1 { format!("{share:.2} %") } else { format!("{share:.1e} %") }
}
