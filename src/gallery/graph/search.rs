//! Finding the rows near a query.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{GONE, Graph, Layer};

/// A node and how similar its row is to the query. The more similar is the greater; none is NaN, see [`Search`].
#[derive(Clone, Copy, PartialEq)]
struct Near {
    similarity: f32,
    node: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.similarity.total_cmp(&other.similarity).then_with(|| other.node.cmp(&self.node))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Graph {
    /// About the `wanted` rows most similar to a query, the most similar first. `compare` appends the similarity of
    /// the query with each of the rows that it is given.
    ///
    /// Each of the `wanted` is kept in sight while the graph is walked (the paper's `ef`), so more finds more.
    pub(crate) fn search(&self, wanted: usize, compare: impl FnMut(&[u32], &mut Vec<f32>)) -> Vec<u32> {
        let Some((lowest, upper)) = self.layers.split_first() else { return Vec::new() };
        if wanted == 0 {
            return Vec::new();
        }
        let mut search = Search { rows: &self.rows, compare, asked: Vec::new(), similarities: Vec::new() };
        let mut start = search.similarity_of(0);
        for layer in upper.iter().rev() {
            start = search.descend(layer, start);
        }
        let mut found = search.walk(lowest, start, wanted);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.into_iter().map(|near| self.rows[near.node as usize]).filter(|&row| row != GONE).collect()
    }
}

/// One query on its way through a graph.
struct Search<'a, F> {
    rows: &'a [u32],
    compare: F,
    asked: Vec<u32>,
    similarities: Vec<f32>,
}

impl<F: FnMut(&[u32], &mut Vec<f32>)> Search<'_, F> {
    /// Sets `similarities` to those of `nodes`, none of which is gone.
    fn compare(&mut self, nodes: &[u32]) {
        self.asked.clear();
        self.asked.extend(nodes.iter().map(|&node| self.rows[node as usize]));
        self.similarities.clear();
        (self.compare)(&self.asked, &mut self.similarities);
    }

    /// A node that is gone is as far away as can be, but its neighbours are still reached through it.
    fn similarity_of(&mut self, node: u32) -> Near {
        let gone = self.rows[node as usize] == GONE;
        if !gone {
            self.compare(&[node]);
        }
        let similarity = if gone { f32::NEG_INFINITY } else { self.similarities[0] };
        Near { similarity, node }
    }

    /// The best node of an upper layer that is reached by always going to the nearest neighbour.
    fn descend(&mut self, layer: &Layer, mut best: Near) -> Near {
        let mut present = Vec::new();
        loop {
            present.clear();
            let neighbours = layer.neighbours(best.node).iter();
            present.extend(neighbours.filter(|&&node| self.rows[node as usize] != GONE));
            self.compare(&present);
            let nearest = present.iter().zip(&self.similarities).map(|(&node, &similarity)| Near { similarity, node });
            match nearest.max() {
                Some(nearer) if nearer.similarity > best.similarity => best = nearer,
                _ => return best,
            }
        }
    }

    /// The `wanted` best nodes of a layer that are met on the way to the nearest, in no order.
    fn walk(&mut self, layer: &Layer, start: Near, wanted: usize) -> Vec<Near> {
        let mut visited = vec![0_u64; layer.num_nodes().div_ceil(64)];
        let mut is_new = |node: u32| {
            let (word, bit) = (&mut visited[node as usize / 64], 1 << (node % 64));
            let new = *word & bit == 0;
            *word |= bit;
            new
        };
        is_new(start.node);
        let mut to_visit = BinaryHeap::from([start]);
        let mut best = BinaryHeap::from([Reverse(start)]);
        let mut met = Vec::new();
        while let Some(near) = to_visit.pop() {
            let full = best.len() >= wanted;
            if full && best.peek().is_some_and(|Reverse(worst)| near < *worst) {
                break;
            }
            met.clear();
            met.extend(layer.neighbours(near.node).iter().filter(|&&node| is_new(node)));
            met.retain(|&node| self.rows[node as usize] != GONE);
            self.compare(&met);
            for (&node, &similarity) in met.iter().zip(&self.similarities) {
                let near = Near { similarity, node };
                if best.len() < wanted {
                    best.push(Reverse(near));
                } else if let Some(mut worst) = best.peek_mut()
                    && near > worst.0
                {
                    *worst = Reverse(near);
                } else {
                    continue;
                }
                to_visit.push(near);
            }
        }
        best.into_iter().map(|Reverse(near)| near).collect()
    }
}
