//! Photos that lie on their side or upside down.

/// By how much a photo has to be turned clockwise for its faces to stand upright.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turned {
    /// They stand upright as it came.
    #[default]
    No,
    /// A quarter.
    By90,
    /// A half: it is upside down.
    By180,
    /// Three quarters.
    By270,
}

impl Turned {
    /// All but [`Self::No`].
    pub const TURNS: [Self; 3] = [Self::By90, Self::By180, Self::By270];

    /// As answers say it; none for a photo that stands upright.
    pub const fn degrees(self) -> Option<u16> {
        match self {
            Self::No => None,
            Self::By90 => Some(90),
            Self::By180 => Some(180),
            Self::By270 => Some(270),
        }
    }

    /// Whether width and height change places.
    pub const fn is_on_side(self) -> bool {
        matches!(self, Self::By90 | Self::By270)
    }

    /// A direction in the photo as it came, as it points once the photo is turned.
    pub fn direction(self, [x, y]: [f32; 2]) -> [f32; 2] {
        match self {
            Self::No => [x, y],
            Self::By90 => [-y, x],
            Self::By180 => [-x, -y],
            Self::By270 => [y, -x],
        }
    }

    /// A point of the turned photo, in the photo as it came, whose coordinates end at `far`.
    pub(super) fn point_back(self, [x, y]: [f32; 2], far: [f32; 2]) -> [f32; 2] {
        match self {
            Self::No => [x, y],
            Self::By90 => [y, far[1] - x],
            Self::By180 => [far[0] - x, far[1] - y],
            Self::By270 => [far[0] - y, x],
        }
    }
}
