//! A gallery at one moment, for searches: rows that lie still while the gallery changes.

use std::sync::Arc;

use super::{codes::CodesView, column::ColumnView, graph::Graph, people::Names};
use domain::FaceId;

/// The rows as they were when the view was taken, and which of them had been removed by then.
#[derive(Clone)]
pub(super) struct View {
    pub(super) dimension: usize,
    pub(super) vectors: ColumnView<f32>,
    pub(super) faces: ColumnView<[u8; 16]>,
    /// The person of each row.
    pub(super) owners: ColumnView<u32>,
    pub(super) names: Names,
    /// Of all rows but those behind the last whole group.
    pub(super) codes: CodesView,
    pub(super) removed: Removed,
    /// Over some of the rows.
    pub(super) graph: Option<Arc<Graph>>,
    /// The same in all views in which a number is the same row's.
    pub(super) numbering: Arc<()>,
    /// Rows, removed ones included. They are numbered from 0.
    pub(super) len: usize,
}

impl View {
    /// A row's vector.
    #[inline]
    pub(super) fn vector(&self, row: u32) -> &[f32] {
        self.vectors.slice(row as usize * self.dimension, self.dimension)
    }

    /// Whose row it is.
    #[inline]
    pub(super) fn owner(&self, row: u32) -> u32 {
        self.owners.get(row as usize)
    }

    /// Which sample the row is.
    pub(super) fn face(&self, row: u32) -> FaceId {
        FaceId::from_bytes(self.faces.get(row as usize))
    }

    /// The numbers of the rows that can be found.
    pub(super) fn live_rows(&self) -> impl Iterator<Item = u32> {
        (0..self.len as u32).filter(|&row| !self.removed.contains(row))
    }

    /// Rows that can be found.
    pub(super) fn live(&self) -> usize {
        self.len - self.removed.count()
    }
}

/// Which rows were removed: tombstones. A row's number is never given to another row, so whoever knows rows by their
/// numbers, as an index of its own does, only has to ask here.
#[derive(Clone, Default)]
pub(super) struct Removed {
    /// A bit a row; rows behind the last bit are there.
    bits: Arc<Vec<u64>>,
    count: usize,
}

impl Removed {
    /// How many were removed.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether a row was removed.
    #[inline]
    pub(super) fn contains(&self, row: u32) -> bool {
        self.bits.get(row as usize / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    /// The rows that were removed since `earlier`, a state of the same rows.
    pub(super) fn since(&self, earlier: &Self) -> impl Iterator<Item = u32> {
        let words = self.bits.iter().enumerate();
        let new = words.map(|(word, bits)| (word, bits & !earlier.bits.get(word).copied().unwrap_or(0)));
        new.filter(|(_, bits)| *bits != 0).flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }

    /// Removes a row. Views taken before keep theirs.
    pub(super) fn insert(&mut self, row: u32) {
        let bits = Arc::make_mut(&mut self.bits);
        let word = row as usize / 64;
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        let bit = 1 << (row % 64);
        self.count += usize::from(bits[word] & bit == 0);
        bits[word] |= bit;
    }

    /// Bytes of memory.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.bits.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_row_is_gone_from_here_on_only() {
        let mut removed = Removed::default();
        removed.insert(130);
        let before = removed.clone();
        for row in [0, 63, 64, 130] {
            removed.insert(row);
        }
        let rows = |removed: &Removed| (0..300).filter(|&row| removed.contains(row)).collect::<Vec<u32>>();
        assert_eq!((rows(&removed), removed.count()), (vec![0, 63, 64, 130], 4));
        assert_eq!((rows(&before), before.count()), (vec![130], 1));
        assert_eq!(removed.since(&before).collect::<Vec<_>>(), [0, 63, 64]);
    }
}
