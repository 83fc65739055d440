//! What a JPEG's frame and scans say of themselves (ITU-T T.81, B.2.2 and B.2.3).

use super::super::{corrupt, unsupported};
use error::Result;

/// The most pixels of a component that stand for one of another in each direction.
const MAX_SAMPLING: u8 = 4;

/// One plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// How many samples it has in each direction where the coarsest has one.
    pub(super) sampling: [u8; 2],
    /// The number of its quantisation table.
    pub(super) table: u8,
}

/// A picture.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) is_progressive: bool,
    pub(super) components: Vec<Component>,
}

impl Frame {
    pub(super) fn read(body: &[u8], is_progressive: bool) -> Result<Self> {
        let damaged = || corrupt("the JPEG's frame header is damaged");
        let &[precision, height_high, height_low, width_high, width_low, count, ref rest @ ..] = body else {
            return Err(damaged());
        };
        if precision != 8 {
            return Err(unsupported("JPEG with more than 8 bits a channel is not read: send 8 bits"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported("a JPEG of this many channels is not read: send grey or colours"));
        }
        let (parts, _) = rest.as_chunks::<3>();
        let component =
            |&[id, sampling, table]: &[u8; 3]| Component { id, sampling: [sampling >> 4, sampling & 15], table };
        let components: Vec<_> = parts.iter().take(count.into()).map(component).collect();
        let is_sound =
            |component: &Component| component.sampling.iter().all(|factor| (1..=MAX_SAMPLING).contains(factor));
        if components.len() != usize::from(count) || !components.iter().all(is_sound) {
            return Err(damaged());
        }
        let width = u16::from_be_bytes([width_high, width_low]);
        let height = u16::from_be_bytes([height_high, height_low]);
        Ok(Self { width, height, is_progressive, components })
    }

    /// The most samples of any component in each direction.
    pub(super) fn finest(&self) -> [u8; 2] {
        [0, 1].map(|axis| self.components.iter().map(|component| component.sampling[axis]).max().unwrap_or(1))
    }

    /// Whether no component is finer than the first, and each one half or a quarter as fine at least.
    pub(super) fn is_common(&self) -> bool {
        let finest = self.finest();
        let is_grey = self.components.len() == 1;
        let is_power = |factor: &u8| factor.is_power_of_two();
        is_grey
            || self.components[0].sampling == finest
                && self.components.iter().all(|component| component.sampling.iter().all(is_power))
                // Black is as fine as the first.
                && self.components.get(3).is_none_or(|black| black.sampling == finest)
    }

    /// Whether every component's samples stand for whole pixels.
    pub(super) fn is_whole(&self) -> bool {
        let finest = self.finest();
        self.components.iter().all(|component| {
            component.sampling.iter().zip(finest).all(|(factor, finest)| finest.is_multiple_of(*factor))
        })
    }
}

/// A component in a scan: its place in the frame and the numbers of its Huffman tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanPart {
    pub(super) component: usize,
    pub(super) dc: u8,
    pub(super) ac: u8,
}

/// The components of a scan.
pub(super) fn read_scan(body: &[u8], frame: &Frame) -> Result<Vec<ScanPart>> {
    let damaged = || corrupt("the JPEG's scan header is damaged");
    let (&count, rest) = body.split_first().ok_or_else(damaged)?;
    let (pairs, _) = rest.as_chunks::<2>();
    let part = |&[id, tables]: &[u8; 2]| {
        let component = frame.components.iter().position(|component| component.id == id)?;
        Some(ScanPart { component, dc: tables >> 4, ac: tables & 15 })
    };
    let parts: Option<Vec<_>> = pairs.iter().take(count.into()).map(part).collect();
    parts.filter(|parts| !parts.is_empty() && parts.len() == usize::from(count)).ok_or_else(damaged)
}
