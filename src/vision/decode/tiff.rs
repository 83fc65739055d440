//! The index of a TIFF (TIFF 6.0, section 2), looked at before a decoder takes its word for how long its lists are: each
//! number of them becomes many times its size in memory. Those of 64 bits are told apart from photos before.

use super::corrupt;
use error::Result;

/// The most numbers in one list: one strip a row, or tiles of 16×16 pixels of the largest photo, are fewer.
const MAX_NUMBERS: u32 = 1 << 18;
/// The tags of TIFF 6.0 end here. What lies behind (profiles, texts, cameras' own) is not read.
const LAST_TAG: u16 = 532;
/// Where the place of the first page's index is named.
const INDEX_NAMED_AT: usize = 4;
/// A tag, the type of its numbers, how many there are, and they or their place.
const ENTRY_BYTES: usize = 12;

/// Errors where a list of the first page is longer than any photo needs. What breaks off is the decoder's to refuse.
pub(super) fn check_index(bytes: &[u8]) -> Result<()> {
    let is_too_long =
        entries(bytes).is_some_and(|mut all| all.any(|(tag, count)| tag <= LAST_TAG && count > MAX_NUMBERS));
    if is_too_long { Err(corrupt("the TIFF's index is longer than any photo needs")) } else { Ok(()) }
}

/// Tags of the first page and how many numbers each has.
fn entries(bytes: &[u8]) -> Option<impl Iterator<Item = (u16, u32)>> {
    let is_little = bytes.starts_with(b"II");
    let short = move |at: &[u8]| {
        let two = *at.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    };
    let long = move |at: &[u8]| {
        let four = *at.first_chunk()?;
        Some(if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let index = bytes.get(long(bytes.get(INDEX_NAMED_AT..)?)? as usize..)?;
    let all = index.get(2..)?.chunks_exact(ENTRY_BYTES).take(short(index)?.into());
    Some(all.map_while(move |entry| Some((short(entry)?, long(&entry[4..])?))))
}
