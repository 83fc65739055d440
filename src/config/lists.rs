//! Settings that are lists. In the environment they are texts with commas between the parts.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

/// A list, or a text with commas between them as the environment has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ListOrText {
    List(Vec<String>),
    Text(String),
}

impl From<ListOrText> for Vec<String> {
    fn from(given: ListOrText) -> Self {
        match given {
            ListOrText::List(list) => list,
            ListOrText::Text(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
        }
    }
}

/// Networks in CIDR notation (`10.0.0.0/8`), or single addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ListOrText")]
pub struct Networks(pub Vec<IpNet>);

impl TryFrom<ListOrText> for Networks {
    type Error = String;

    fn try_from(given: ListOrText) -> Result<Self, String> {
        let read = |text: &String| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("{text:?} is no network such as 10.0.0.0/8"))
        };
        Vec::from(given).iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// Ports, or a text with commas between them as the environment has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PortsGiven")]
pub struct Ports(Vec<u16>);

#[derive(Deserialize)]
#[serde(untagged)]
enum PortsGiven {
    List(Vec<u16>),
    /// A number, as one is in the environment.
    Single(u16),
    Text(String),
}

impl TryFrom<PortsGiven> for Ports {
    type Error = String;

    fn try_from(given: PortsGiven) -> Result<Self, String> {
        let read = |text: &str| text.parse().map_err(|_| format!("{text:?} is no port"));
        Ok(Self(match given {
            PortsGiven::List(ports) => ports,
            PortsGiven::Single(port) => vec![port],
            PortsGiven::Text(text) => {
                text.split(',').map(str::trim).filter(|port| !port.is_empty()).map(read).collect::<Result<_, _>>()?
            }
        }))
    }
}

impl Ports {
    /// Each of them.
    pub fn as_slice(&self) -> &[u16] {
        &self.0
    }
}

/// Origins (`https://school.example`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "ListOrText")]
pub struct Origins(Vec<String>);

impl From<ListOrText> for Origins {
    fn from(given: ListOrText) -> Self {
        Self(given.into())
    }
}

impl Origins {
    /// Each of them.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether each is a scheme and a host, with a port or without, exactly as browsers send it.
    pub(super) fn are_valid(&self) -> bool {
        let is_origin = |origin: &String| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| {
                !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
            })
        };
        self.0.iter().all(is_origin)
    }
}
