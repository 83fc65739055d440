//! Which face goes with whom: the maximum-weight matching of faces and those who may be behind them.

use std::collections::{BTreeMap, BTreeSet};

use pathfinding::prelude::{Matrix, kuhn_munkres};

/// A face, and somebody who may be behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<W> {
    /// The face's place in its photo, from 0.
    pub face: usize,
    /// Who it may be; each at most once a face.
    pub who: W,
    /// Raw cosine.
    pub similarity: f32,
}

/// Chooses pairs such that no face and nobody is in two of them and their similarities have the greatest sum; returns
/// their places in `pairs`. Ties go to the lesser `who`.
///
/// Each connected component is solved by itself: a class photo falls apart into components of one or two faces, so the
/// cubic method never sees a large matrix.
pub fn assign<W: Ord>(pairs: &[Pair<W>]) -> Vec<usize> {
    components(pairs).into_iter().flat_map(|component| solve(pairs, &component)).collect()
}

/// Groups pairs that share a face or somebody.
fn components<W: Ord>(pairs: &[Pair<W>]) -> Vec<Vec<usize>> {
    let num_faces = pairs.iter().map(|pair| pair.face + 1).max().unwrap_or(0);
    let mut parent: Vec<usize> = (0..num_faces).collect();
    let mut first_face_of: BTreeMap<&W, usize> = BTreeMap::new();
    for pair in pairs {
        let first = *first_face_of.entry(&pair.who).or_insert(pair.face);
        let (a, b) = (root(&mut parent, first), root(&mut parent, pair.face));
        parent[a.max(b)] = a.min(b);
    }
    let mut by_root: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, pair) in pairs.iter().enumerate() {
        by_root.entry(root(&mut parent, pair.face)).or_default().push(place);
    }
    by_root.into_values().collect()
}

fn root(parent: &mut [usize], mut node: usize) -> usize {
    while parent[node] != node {
        parent[node] = parent[parent[node]];
        node = parent[node];
    }
    node
}

/// Kuhn–Munkres on one component. Weights are similarities in steps of 2⁻³⁰; below one such step the order of `who`
/// decides, and all of those nudges together stay below a single step.
fn solve<W: Ord>(pairs: &[Pair<W>], component: &[usize]) -> Vec<usize> {
    if let [only] = component {
        return vec![*only];
    }
    let of_component = || component.iter().map(|&place| &pairs[place]);
    let faces: Vec<usize> = of_component().map(|pair| pair.face).collect::<BTreeSet<_>>().into_iter().collect();
    let people: Vec<&W> = of_component().map(|pair| &pair.who).collect::<BTreeSet<_>>().into_iter().collect();
    let columns = people.len().max(faces.len());
    let step = (faces.len() * columns + 1) as i128;
    let mut weights = Matrix::new(faces.len(), columns, 0_i128);
    let mut chosen: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for &place in component {
        let pair = &pairs[place];
        let (Ok(row), Ok(column)) = (faces.binary_search(&pair.face), people.binary_search(&&pair.who)) else {
            continue; // Both lists were made from these very pairs.
        };
        let steps = (f64::from(pair.similarity.max(0.0)) * f64::from(1 << 30)).round() as i128;
        weights[(row, column)] = steps * step + (columns - column) as i128;
        chosen.insert((row, column), place);
    }
    let (_, columns_of_rows) = kuhn_munkres(&weights);
    columns_of_rows.into_iter().enumerate().filter_map(|cell| chosen.get(&cell).copied()).collect()
}
