//! The report on thresholds, from a tenant's own enrolments.

mod picture;
mod remarks;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::remarks::percent;
use crate::{
    domain::{
        Candidate, TenantScope,
        recognition::calibration::{
            Curves, EqualError, ErrorRate, Evidence, chance_of_false_name, comparisons, fmr_for_chance,
        },
    },
    error::{Error, Result},
    gallery::{PairLimits, Pairs, pairs},
    runtime::ServiceClass,
    service::{
        people::duplicates::{DuplicatePair, gallery_job},
        recognition::Service,
    },
};

/// What a report takes at most. With 40 000 samples it took 34 s of one thread (412 million pairs, all searches).
const LIMITS: PairLimits = PairLimits { impostor_pairs: 500_000_000, searches: 100_000, look_alikes: 100 };
/// Thresholds of the curve: each hundredth from 0 to 1.
const CURVE_STEPS: u32 = 100;
/// People in a roster and faces in a photo.
const MAX_ROSTER: usize = 1_000_000;
const MAX_FACES: usize = 1000;

/// What a threshold is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CalibrationParams {
    /// People whom a photo's faces are compared with.
    pub roster: usize,
    /// Faces of strangers in a photo.
    pub faces: usize,
    /// The chance that one of them is named, at most.
    pub false_names: f64,
}

impl Default for CalibrationParams {
    fn default() -> Self {
        Self { roster: 30, faces: 5, false_names: 0.001 }
    }
}

impl CalibrationParams {
    fn check(&self) -> Result<()> {
        let is_good = (1..=MAX_ROSTER).contains(&self.roster)
            && (1..=MAX_FACES).contains(&self.faces)
            && self.false_names > 0.0
            && self.false_names < 1.0;
        if is_good {
            return Ok(());
        }
        let message = format!(
            "roster is 1 to {MAX_ROSTER} people, faces 1 to {MAX_FACES}, false_names a chance between 0 and 1, both excluded"
        );
        Err(Error::invalid(message).with_code("invalid_calibration"))
    }
}

/// What the tenant's enrolments say about thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CalibrationReport {
    /// People with samples.
    pub people: usize,
    /// Their samples.
    pub samples: usize,
    /// Pairs of samples of one person.
    pub genuine: PairCount,
    /// Pairs of samples of different people.
    pub impostor: PairCount,
    /// What is to be known before the figures are relied on.
    pub remarks: Vec<Remark>,
    /// What the threshold was wanted for.
    pub wanted: CalibrationParams,
    /// The false match rate that keeps the wanted chance of a false name.
    pub wanted_fmr: f64,
    /// The threshold for it; null without pairs to find it from.
    pub recommended: Option<RecommendedThreshold>,
    /// The tenant's threshold within a roster.
    pub roster: ThresholdRates,
    /// The tenant's threshold in the whole gallery, where each face is compared with everybody.
    pub gallery: ThresholdRates,
    /// Where the two rates are the same; null where one of them is unknown.
    pub equal_error: Option<EqualError>,
    /// The rates at each hundredth from 0 to 1.
    pub curve: Vec<CurvePoint>,
    /// Pairs of people that look alike, most similar first: of each sample the nearest other person, best 100.
    pub look_alikes: Vec<DuplicatePair>,
    /// So many samples had their nearest other person searched for: all of them, or a choice of a large gallery's.
    pub searched: usize,
}

/// How many pairs were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PairCount {
    /// Pairs behind the figures.
    pub compared: u64,
    /// Pairs there are. Where that is more, the samples whose pairs were compared were chosen by a checksum of their ids.
    pub of: u64,
}

/// What goes wrong at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ThresholdRates {
    /// The threshold, raw cosine.
    pub threshold: f64,
    /// Pairs of different people at or above it; null without such pairs.
    pub fmr: Option<ErrorRate>,
    /// Pairs of one person under it; null without such pairs.
    pub fnmr: Option<ErrorRate>,
    /// The chance of a false name in a photo, at the rate found; null without impostor pairs.
    pub false_names: Option<f64>,
    /// The same at the most that the rate may be with 95 % confidence.
    pub false_names_at_most: Option<f64>,
}

/// The lowest threshold that keeps what was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecommendedThreshold {
    /// What is behind it.
    pub evidence: Evidence,
    /// What goes wrong there.
    #[serde(flatten)]
    pub rates: ThresholdRates,
}

/// A point of the curves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CurvePoint {
    /// The threshold.
    pub threshold: f64,
    /// The false match rate; null without impostor pairs.
    pub fmr: Option<f64>,
    /// The false non-match rate; null without genuine pairs.
    pub fnmr: Option<f64>,
}

/// Something to be known of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remark {
    /// `no_genuine_pairs`, `few_genuine_pairs`, `no_impostor_pairs`, `few_impostor_pairs`, `some_impostor_pairs`,
    /// `too_few_pairs`, `same_face` or `look_alikes`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Service {
    /// The report on the tenant's thresholds: of those who may be found, at this moment.
    ///
    /// # Errors
    /// `Invalid` `invalid_calibration`.
    pub async fn calibration(&self, scope: &TenantScope, params: CalibrationParams) -> Result<CalibrationReport> {
        params.check()?;
        let naming = self.naming(scope).await?;
        let gallery = self.galleries.tenant(scope).await?;
        let job = gallery_job(ServiceClass::Bulk, scope);
        let pairs = pairs(&self.pipeline.tools().pool, &job, &gallery, LIMITS).await?;
        // It took long, and it is of people.
        self.store.require_right(scope.right()).await?;
        Ok(CalibrationReport::new(pairs, params, [naming.roster.threshold, naming.gallery.threshold]))
    }
}

impl CalibrationReport {
    fn new(pairs: Pairs, wanted: CalibrationParams, [roster, gallery]: [f32; 2]) -> Self {
        let curves = Curves::of(&pairs.genuine, &pairs.impostor);
        let (genuine, compared) = (pairs.genuine.pairs(), pairs.impostor.pairs());
        let samples_a_person = pairs.samples as f64 / pairs.people.max(1) as f64;
        let chances = comparisons(wanted.roster, wanted.faces, samples_a_person.max(1.0));
        let chances_in_gallery = comparisons(pairs.people.max(1), wanted.faces, samples_a_person.max(1.0));
        let wanted_fmr = fmr_for_chance(wanted.false_names, chances);
        let recommended = curves.threshold_for(wanted_fmr).map(|(threshold, evidence)| RecommendedThreshold {
            evidence,
            rates: ThresholdRates::at(threshold, &curves, chances),
        });
        let mut report = Self {
            people: pairs.people,
            samples: pairs.samples,
            genuine: PairCount { compared: genuine, of: genuine },
            impostor: PairCount { compared, of: pairs.impostor_pairs },
            remarks: Vec::new(),
            wanted,
            wanted_fmr,
            recommended,
            roster: ThresholdRates::at(decimal(roster), &curves, chances),
            gallery: ThresholdRates::at(decimal(gallery), &curves, chances_in_gallery),
            equal_error: curves.equal_error(),
            curve: (0..=CURVE_STEPS).map(|step| CurvePoint::at(f64::from(step) / 100.0, &curves)).collect(),
            look_alikes: pairs.look_alikes.into_iter().map(pair).collect(),
            searched: pairs.searches,
        };
        report.remarks = remarks::remarks(&report);
        report
    }

    /// A picture of the curves, as SVG.
    ///
    /// # Errors
    /// `Internal` if it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        picture::draw(self)
            .map_err(|error| Error::internal(format!("the picture of a report cannot be drawn: {error}")))
    }
}

impl ThresholdRates {
    fn at(threshold: f64, curves: &Curves, comparisons: f64) -> Self {
        let (fmr, fnmr) = (curves.fmr(threshold), curves.fnmr(threshold));
        let chance = |rate: f64| chance_of_false_name(rate, comparisons);
        Self {
            threshold,
            fmr,
            fnmr,
            false_names: fmr.map(|fmr| chance(fmr.rate)),
            false_names_at_most: fmr.map(|fmr| chance(fmr.at_most)),
        }
    }
}

impl CurvePoint {
    fn at(threshold: f64, curves: &Curves) -> Self {
        let rate = |rate: Option<ErrorRate>| rate.map(|rate| rate.rate);
        Self { threshold, fmr: rate(curves.fmr(threshold)), fnmr: rate(curves.fnmr(threshold)) }
    }
}

/// A setting as it was written: 0.4 and not 0.4000000059….
fn decimal(setting: f32) -> f64 {
    (f64::from(setting) * 1e6).round() / 1e6
}

fn pair([first, second]: [Candidate; 2]) -> DuplicatePair {
    let similarity = first.similarity;
    DuplicatePair { people: vec![first.person, second.person], faces: vec![first.face, second.face], similarity }
}
