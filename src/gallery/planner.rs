//! Which plan a search takes.

/// A way to search. Every plan is timed under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plan {
    /// All samples of the roster's people, exactly.
    ExactRoster,
    /// All samples of the gallery, exactly.
    ExactGallery,
}

impl Plan {
    /// All plans.
    pub const ALL: [Self; 2] = [Self::ExactRoster, Self::ExactGallery];

    /// The name for metrics and explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactRoster => "exact_roster",
            Self::ExactGallery => "exact_gallery",
        }
    }
}

/// The plan for a search, with or without a roster.
pub(super) fn choose(has_roster: bool) -> Plan {
    if has_roster { Plan::ExactRoster } else { Plan::ExactGallery }
}
