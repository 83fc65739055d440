//! The seven stages by name, in flow order, and how many photos may be inside each.

use std::num::NonZeroUsize;

/// A stage of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Station {
    /// Reads the header and takes memory for the pixels.
    Ingest,
    /// Bytes to upright pixels.
    Decode,
    /// Pixels to faces.
    Detect,
    /// Faces to vectors.
    Embed,
    /// Live or not, and where the head is turned.
    Liveness,
    /// Vectors to names.
    Matching,
    /// Names to records.
    Attendance,
}

/// How many photos may be inside a stage, waiting or in work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// So many.
    Fixed(usize),
    /// So many for each compute thread: enough that none idles, few enough that pixels do not pile up.
    PerThread(usize),
}

impl Capacity {
    /// The number for a pool of `threads`.
    pub fn on(self, threads: NonZeroUsize) -> usize {
        match self {
            Self::Fixed(number) => number,
            Self::PerThread(number) => number * threads.get(),
        }
    }
}

impl Station {
    /// All stages in flow order.
    pub const ALL: [Self; 7] =
        [Self::Ingest, Self::Decode, Self::Detect, Self::Embed, Self::Liveness, Self::Matching, Self::Attendance];

    /// The name in metrics, timings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Embed => "embed",
            Self::Liveness => "liveness",
            Self::Matching => "matching",
            Self::Attendance => "attendance",
        }
    }

    /// How many photos may be inside; the README's picture shows these numbers.
    pub const fn capacity(self) -> Capacity {
        match self {
            Self::Ingest | Self::Matching | Self::Attendance => Capacity::Fixed(64),
            Self::Decode | Self::Detect | Self::Embed | Self::Liveness => Capacity::PerThread(2),
        }
    }

    /// The fail point inside the stage's work on a photo. Attendance's lies in matching's task, which prepares it.
    pub(super) const fn work_fault(self) -> &'static str {
        match self {
            Self::Ingest => "ingest.work",
            Self::Decode => "decode.work",
            Self::Detect => "detect.work",
            Self::Embed => "embed.work",
            Self::Liveness => "liveness.work",
            Self::Matching => "matching.work",
            Self::Attendance => "attendance.work",
        }
    }

    /// The fail point in the stage's actor itself.
    pub(super) const fn actor_fault(self) -> &'static str {
        match self {
            Self::Ingest => "ingest.actor",
            Self::Decode => "decode.actor",
            Self::Detect => "detect.actor",
            Self::Embed => "embed.actor",
            Self::Liveness => "liveness.actor",
            Self::Matching => "matching.actor",
            Self::Attendance => "attendance.actor",
        }
    }

    /// The place in the flow; later work goes first.
    pub const fn rank(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README draws the pipeline with a capacity under every stage: `(64)`, or `(2×C)` for C compute threads.
    #[test]
    fn the_readme_draws_these_capacities() {
        let readme = include_str!("../../README.md");
        let names = Station::ALL.map(Station::name);
        let (drawing, capacities) = readme
            .lines()
            .zip(readme.lines().skip(1))
            .find(|(line, _)| names.iter().all(|name| line.contains(name)))
            .expect("the README draws all stages on one line");
        let drawn: Vec<&str> = capacities.split_whitespace().collect();
        let expected = Station::ALL.map(|station| match station.capacity() {
            Capacity::Fixed(number) => format!("({number})"),
            Capacity::PerThread(number) => format!("({number}×C)"),
        });
        assert_eq!(drawn, expected, "under: {drawing}");
    }
}
