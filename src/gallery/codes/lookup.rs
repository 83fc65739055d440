//! A query as tables: what each four bits of a code add to its product with the query.

use super::coder::Coder;

/// Entries of a table, one for each value of four bits.
pub(super) const ENTRIES: usize = 16;
/// The largest entry: four of them are added in a byte.
const LARGEST: usize = 63;

/// The tables of one query, in steps of one size: two for each byte of a code, that of the lower bits first.
///
/// With a step of a sixty-third of the widest table's range, rounding moves a product by a thirtieth of what the code
/// itself leaves open.
pub(super) struct Lookup {
    pub(super) tables: Vec<u8>,
    /// Estimated similarity = (`step` × sum of entries + `base`) × the row's correction.
    pub(super) step: f32,
    pub(super) base: f32,
}

impl Lookup {
    pub(super) fn new(coder: &Coder, query: &[f32]) -> Self {
        let rotated = coder.rotate(query);
        let num_tables = rotated.len() / 4;
        // Sums of entries are counted in 16 bits.
        let largest = LARGEST.min(usize::from(u16::MAX) / num_tables) as f32;
        let reach = |four: &[f32]| four.iter().map(|x| x.abs()).sum::<f32>();
        let widest = rotated.chunks_exact(4).map(reach).fold(f32::MIN_POSITIVE, f32::max);
        let step = 2.0 * widest / largest;
        let mut tables = Vec::with_capacity(num_tables * ENTRIES);
        for four in rotated.chunks_exact(4) {
            let lowest = -reach(four);
            for bits in 0..ENTRIES {
                let signed = four.iter().enumerate().map(|(bit, x)| if bits >> bit & 1 == 1 { *x } else { -x });
                tables.push(((signed.sum::<f32>() - lowest) / step).round() as u8);
            }
        }
        let unit = 1.0 / (rotated.len() as f32).sqrt();
        let base = -rotated.chunks_exact(4).map(reach).sum::<f32>();
        Self { tables, step: step * unit, base: base * unit }
    }
}
