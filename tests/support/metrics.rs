//! Prometheus's text format, as far as the tests ask.

/// One look at `/metrics`.
pub(crate) struct Metrics(Vec<(String, f64)>);

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    /// The sum over the series of `rollcall_{name}` that carry all of `labels` (`stage="decode"`).
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        // Folded from +0: an empty sum of floats is -0.
        self.each(name, labels).into_iter().fold(0.0, |sum, value| sum + value)
    }

    /// The value of each of these series.
    pub(crate) fn each(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        let name = format!("rollcall_{name}");
        let meant =
            |series: &str| series.split('{').next() == Some(&name) && labels.iter().all(|label| series.contains(label));
        self.0.iter().filter(|(series, _)| meant(series)).map(|(_, value)| *value).collect()
    }

    /// The same for counts.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.sum(name, labels) as u64
    }
}
