//! The lists of neighbours of one layer, one after the other.

/// Who is near whom among the first nodes of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    /// Where each node's list begins, and the end of the last.
    offsets: Vec<u32>,
    neighbours: Vec<u32>,
}

impl Layer {
    /// A layer from its parts: where each node's list begins, one more for the end, and the lists. None where a list
    /// or a neighbour would lie outside of it.
    pub(crate) fn new(offsets: Vec<u32>, neighbours: Vec<u32>) -> Option<Self> {
        let num_nodes = offsets.len().checked_sub(1)?;
        let ordered = offsets.first() == Some(&0)
            && offsets.last().is_some_and(|&end| end as usize == neighbours.len())
            && offsets.is_sorted();
        let inside = neighbours.iter().all(|&neighbour| (neighbour as usize) < num_nodes);
        (ordered && inside).then_some(Self { offsets, neighbours })
    }

    /// How many nodes it has.
    pub(super) fn num_nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Who is near `node`, nearest first.
    pub(super) fn neighbours(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.neighbours[self.offsets[node] as usize..self.offsets[node + 1] as usize]
    }

    /// Its parts, as for [`Self::new`].
    pub(crate) fn parts(&self) -> (&[u32], &[u32]) {
        (&self.offsets, &self.neighbours)
    }

    /// Bytes that it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        (self.offsets.capacity() + self.neighbours.capacity()) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_leave_the_layer_are_refused() {
        let layer = Layer::new(vec![0, 2, 2, 3], vec![1, 2, 0]).unwrap();
        assert_eq!((layer.num_nodes(), layer.neighbours(0), layer.neighbours(1)), (3, &[1, 2][..], &[][..]));
        assert!(Layer::new(vec![], vec![]).is_none());
        assert!(Layer::new(vec![0, 2, 2, 3], vec![1, 3, 0]).is_none(), "no node 3");
        assert!(Layer::new(vec![0, 2, 1, 3], vec![1, 2, 0]).is_none(), "a list that ends before it begins");
        assert!(Layer::new(vec![0, 2, 2, 4], vec![1, 2, 0]).is_none(), "a list beyond the end");
        assert!(Layer::new(vec![1, 2, 2, 3], vec![1, 2, 0]).is_none(), "lost neighbours");
    }
}
