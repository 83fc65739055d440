//! What pairs of enrolled samples say about thresholds.
//!
//! Pairs of one person's samples are genuine, pairs of different people's are impostors. At a threshold, the false match
//! rate (FMR) is the share of impostor pairs at or above it, the false non-match rate (FNMR) the share of genuine pairs
//! under it (ISO/IEC 19795-1). Similarities are counted in bins of a thousandth, so thresholds are good to that.
//!
//! Bounds hold with 95 % confidence if pairs are independent. They are not quite, as each sample is in many of them:
//! bounds from few people are somewhat too narrow.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bins in a cosine of 1.
const BINS_A_UNIT: usize = 1000;
/// The first bin begins at -1; the last holds 1 alone.
const BINS: usize = 2 * BINS_A_UNIT + 1;
/// What a cosine may lack to its bin by rounding, in bins.
const ROUNDING: f32 = 1e-3;
/// The one-sided 95 % point of the normal distribution.
const Z_95: f64 = 1.644_853_6;

/// Similarities of pairs, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    bins: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { bins: vec![0; BINS] }
    }
}

impl Histogram {
    /// Counts a pair.
    #[inline]
    pub fn add(&mut self, cosine: f32) {
        // Casts saturate.
        let bin = ((cosine + 1.0) * BINS_A_UNIT as f32 + ROUNDING) as usize;
        self.bins[bin.min(BINS - 1)] += 1;
    }

    /// Counts all pairs of another.
    pub fn merge(&mut self, other: &Self) {
        self.bins.iter_mut().zip(&other.bins).for_each(|(sum, more)| *sum += more);
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// For each bin the pairs in it and in those above.
    fn at_or_above(&self) -> Vec<u64> {
        let mut sums = self.bins.clone();
        for bin in (0..BINS - 1).rev() {
            sums[bin] += sums[bin + 1];
        }
        sums
    }
}

/// How often something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorRate {
    /// Pairs that went wrong.
    pub errors: u64,
    /// All pairs, at least one.
    pub pairs: u64,
    /// The share of them that went wrong.
    pub rate: f64,
    /// With 95 % confidence the rate is not above this; without an error, 3 ÷ pairs.
    pub at_most: f64,
}

impl ErrorRate {
    /// Of `errors` among `pairs`; nothing can be said of no pairs.
    pub fn of(errors: u64, pairs: u64) -> Option<Self> {
        if pairs == 0 {
            return None;
        }
        let (n, rate) = (pairs as f64, errors as f64 / pairs as f64);
        // The rule of three; Wilson's bound elsewhere.
        let at_most = if errors == 0 {
            3.0 / n
        } else {
            let z2 = Z_95 * Z_95;
            let spread = (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
            (rate + z2 / (2.0 * n) + Z_95 * spread) / (1.0 + z2 / n)
        };
        Some(Self { errors, pairs, rate, at_most: at_most.min(1.0) })
    }
}

/// Where as many strangers pass as people are missed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EqualError {
    /// The threshold; the middle, where several do it.
    pub threshold: f64,
    /// The mean of the two rates there.
    pub rate: f64,
}

/// What is behind a recommended threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The pairs show, with 95 % confidence, that the wanted rate is kept.
    Shown,
    /// No impostor pair reaches the threshold, but there are too few of them to show so low a rate.
    TooFewPairs,
}

/// The rates at every threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curves {
    /// Pairs at or above each bin.
    genuine: Vec<u64>,
    impostor: Vec<u64>,
}

impl Curves {
    /// Those of these pairs.
    pub fn of(genuine: &Histogram, impostor: &Histogram) -> Self {
        Self { genuine: genuine.at_or_above(), impostor: impostor.at_or_above() }
    }

    /// The false match rate at a threshold; `None` without impostor pairs.
    pub fn fmr(&self, threshold: f64) -> Option<ErrorRate> {
        self.fmr_at(bin(threshold))
    }

    /// The false non-match rate at a threshold; `None` without genuine pairs.
    pub fn fnmr(&self, threshold: f64) -> Option<ErrorRate> {
        self.fnmr_at(bin(threshold))
    }

    fn fmr_at(&self, bin: usize) -> Option<ErrorRate> {
        ErrorRate::of(self.impostor[bin], self.impostor[0])
    }

    fn fnmr_at(&self, bin: usize) -> Option<ErrorRate> {
        ErrorRate::of(self.genuine[0] - self.genuine[bin], self.genuine[0])
    }

    /// Where the two rates are nearest to each other; `None` where one of them is missing.
    pub fn equal_error(&self) -> Option<EqualError> {
        let rates: Vec<(f64, f64)> =
            (0..BINS).map(|bin| Some((self.fmr_at(bin)?.rate, self.fnmr_at(bin)?.rate))).collect::<Option<_>>()?;
        // With the threshold the one falls and the other rises: the bins of the least distance lie side by side.
        let distance = |&(fmr, fnmr): &(f64, f64)| (fmr - fnmr).abs();
        let least = rates.iter().map(distance).min_by(f64::total_cmp)?;
        let nearest = |rates: &(f64, f64)| distance(rates) <= least;
        let (first, last) = (rates.iter().position(nearest)?, rates.iter().rposition(nearest)?);
        let middle = usize::midpoint(first, last);
        let (fmr, fnmr) = rates[middle];
        Some(EqualError { threshold: threshold(middle), rate: f64::midpoint(fmr, fnmr) })
    }

    /// The lowest threshold that keeps the false match rate at `fmr` or below with 95 % confidence. Where there are too
    /// few pairs to show that at any threshold, the lowest one that no pair reaches: nothing is extrapolated. `None`
    /// without impostor pairs, or where some of them are the same face.
    pub fn threshold_for(&self, fmr: f64) -> Option<(f64, Evidence)> {
        let lowest = |good: &dyn Fn(ErrorRate) -> bool| (0..BINS).find(|&bin| self.fmr_at(bin).is_some_and(good));
        let shown = lowest(&|rate| rate.at_most <= fmr).map(|bin| (threshold(bin), Evidence::Shown));
        let unreached = || lowest(&|rate| rate.errors == 0).map(|bin| (threshold(bin), Evidence::TooFewPairs));
        shown.or_else(unreached)
    }
}

/// The bin that begins at a threshold.
fn bin(threshold: f64) -> usize {
    let bin = ((threshold + 1.0) * BINS_A_UNIT as f64).round();
    (bin as usize).min(BINS - 1)
}

/// Where a bin begins.
fn threshold(bin: usize) -> f64 {
    (bin as f64 - BINS_A_UNIT as f64) / BINS_A_UNIT as f64
}

/// How many chances a photo gives to take a stranger for someone: each of `faces` strangers is compared with all samples
/// of `roster` people, and a person is as similar as the best of their samples.
pub fn comparisons(roster: usize, faces: usize, samples_a_person: f64) -> f64 {
    roster as f64 * faces as f64 * samples_a_person
}

/// The chance that at least one stranger of a photo is named: 1 − (1 − FMR)^comparisons.
///
/// That takes comparisons for independent. A person's samples are alike and so match strangers together, and a name
/// takes a margin as well: the chance is rather less than this.
pub fn chance_of_false_name(fmr: f64, comparisons: f64) -> f64 {
    -f64::exp_m1(comparisons * f64::ln_1p(-fmr))
}

/// The false match rate at which [`chance_of_false_name`] is `chance`.
pub fn fmr_for_chance(chance: f64, comparisons: f64) -> f64 {
    -f64::exp_m1(f64::ln_1p(-chance) / comparisons)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these shares are exact, or come from the same division")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(cosines: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        for &cosine in cosines {
            histogram.add(cosine);
        }
        histogram
    }

    fn curves(genuine: &[f32], impostor: &[f32]) -> Curves {
        Curves::of(&histogram(genuine), &histogram(impostor))
    }

    #[test]
    fn errors_at_a_threshold_are_counted_exactly() {
        let curves = curves(&[0.39, 0.40, 0.41, 0.9], &[-0.2, 0.1, 0.4, 0.5, 1.0]);
        let errors =
            |threshold| (curves.fmr(threshold).map(|rate| rate.errors), curves.fnmr(threshold).map(|rate| rate.errors));
        assert_eq!(errors(0.40), (Some(3), Some(1)), "at the threshold is a match");
        assert_eq!(errors(0.401), (Some(2), Some(2)));
        assert_eq!(errors(-1.0), (Some(5), Some(0)));
        assert_eq!(errors(1.0), (Some(1), Some(4)));
        assert_eq!(curves.fmr(0.40).unwrap().rate, 0.6);
    }

    #[test]
    fn without_pairs_there_is_no_rate() {
        let only_impostors = curves(&[], &[0.1]);
        assert_eq!(only_impostors.fnmr(0.4), None);
        assert_eq!(only_impostors.equal_error(), None);
        let only_genuine = curves(&[0.8], &[]);
        assert_eq!((only_genuine.fmr(0.4), only_genuine.threshold_for(0.5)), (None, None));
    }

    #[test]
    fn bounds_are_the_rule_of_three_and_wilsons() {
        assert_eq!(ErrorRate::of(0, 1000).unwrap().at_most, 0.003);
        assert_eq!(ErrorRate::of(0, 2).unwrap().at_most, 1.0);
        let bound = |errors, pairs| ErrorRate::of(errors, pairs).unwrap().at_most;
        // Newcombe 1998, table I, by the one-sided z.
        assert!((bound(81, 263) - 0.3568).abs() < 5e-4, "{}", bound(81, 263));
        assert!((bound(1000, 1000) - 1.0).abs() < 1e-12);
        assert!(bound(1, 1000) > bound(0, 1000));
    }

    #[test]
    fn the_equal_error_lies_where_the_curves_meet() {
        let apart = curves(&[0.6, 0.8], &[0.1, 0.2]).equal_error().unwrap();
        assert_eq!(apart, EqualError { threshold: 0.4, rate: 0.0 });
        let crossing = curves(&[0.3, 0.5, 0.7, 0.9], &[0.0, 0.1, 0.2, 0.6]).equal_error().unwrap();
        assert_eq!(crossing.rate, 0.25);
        assert!((0.301..=0.5).contains(&crossing.threshold), "{crossing:?}");
    }

    #[test]
    fn a_threshold_is_shown_or_bounded_and_never_extrapolated() {
        // 1000 pairs: one at 0.5, one at 0.3, the rest below.
        let mut impostor = vec![0.1; 998];
        impostor.extend([0.3, 0.5]);
        let curves = curves(&[], &impostor);
        assert_eq!(curves.threshold_for(0.01), Some((0.101, Evidence::Shown)), "2 of 1000 are at most 0.62 %");
        assert_eq!(curves.threshold_for(0.005), Some((0.301, Evidence::Shown)), "1 of 1000 is at most 0.45 %");
        assert_eq!(curves.threshold_for(0.003), Some((0.501, Evidence::Shown)));
        assert_eq!(curves.threshold_for(0.0029), Some((0.501, Evidence::TooFewPairs)));
        let twins = super::Curves::of(&Histogram::default(), &histogram(&[1.0, 0.1]));
        assert_eq!(twins.threshold_for(0.1), None, "nothing tells the same face apart");
    }

    #[test]
    fn the_chance_of_a_false_name_is_what_a_simulation_finds() {
        let (fmr, roster, faces, samples) = (0.004, 30, 5, 2);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let photos = 20_000;
        let has_false_name = |_: &usize| {
            // Every comparison is made, as by a server.
            (0..roster * faces * samples).filter(|_| random() < fmr).count() > 0
        };
        let found = (0..photos).filter(has_false_name).count() as f64 / photos as f64;
        let expected = chance_of_false_name(fmr, comparisons(roster, faces, samples as f64));
        assert!((found - expected).abs() < 0.015, "{found} {expected}");
    }

    proptest! {
        #[test]
        fn a_chance_and_its_rate_belong_together(chance in 1e-9_f64..0.999, comparisons in 1.0_f64..1e9) {
            let fmr = fmr_for_chance(chance, comparisons);
            prop_assert!(fmr > 0.0 && fmr < 1.0);
            prop_assert!((chance_of_false_name(fmr, comparisons) / chance - 1.0).abs() < 1e-6);
        }

        #[test]
        fn merged_histograms_count_all(a in prop::collection::vec(-1.0_f32..=1.0, 0..50), b in prop::collection::vec(-1.0_f32..=1.0, 0..50)) {
            let mut merged = histogram(&a);
            merged.merge(&histogram(&b));
            let together = histogram(&[a, b].concat());
            prop_assert_eq!(merged.pairs(), together.pairs());
            prop_assert_eq!(merged, together);
        }
    }
}
