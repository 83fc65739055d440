//! The architectures that this program runs.

use std::str::FromStr;

use error::{Error, Result};

/// A network architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// Face detector.
    Yunet,
    /// Face embedding.
    MobileFaceNet,
    /// Passive liveness.
    MiniFasNet,
    /// Yaw, pitch and roll.
    HeadPose,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Yunet, Self::MobileFaceNet, Self::MiniFasNet, Self::HeadPose];

    /// Its name on the command line and in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yunet => "yunet",
            Self::MobileFaceNet => "mobilefacenet",
            Self::MiniFasNet => "minifasnet",
            Self::HeadPose => "headpose",
        }
    }

    /// The file of its weights.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Yunet => "yunet.safetensors",
            Self::MobileFaceNet => "mobilefacenet.safetensors",
            Self::MiniFasNet => "minifasnet.safetensors",
            Self::HeadPose => "headpose.safetensors",
        }
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("there is no architecture `{name}`; known are {known}"))
        })
    }
}
