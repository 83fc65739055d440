use std::collections::HashSet;

use super::*;
use crate::products::products;

const DIMENSION: usize = 32;
const OPTIONS: GraphOptions = GraphOptions { m: 8, ef_construction: 64 };

/// The same unit vector for the same seed.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    unit((0..DIMENSION).map(|_| uniform() + uniform() + uniform()).collect())
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / length).collect()
}

fn near(vector: &[f32], seed: u64, noise: f32) -> Vec<f32> {
    unit(vector.iter().zip(self::vector(seed)).map(|(x, z)| x + noise * z).collect())
}

fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let mut out = [0.0];
    products(&[a], &[b], &mut out);
    out[0]
}

/// A graph over all of `vectors` but the first, whose row numbers are their places.
fn built(vectors: &[Vec<f32>]) -> Graph {
    let rows: Vec<u32> = (1..vectors.len() as u32).collect();
    let similarity = |a: u32, b: u32| similarity(&vectors[a as usize], &vectors[b as usize]);
    build(OPTIONS, &rows, similarity, || false).unwrap().unwrap()
}

fn search(graph: &Graph, vectors: &[Vec<f32>], query: &[f32], wanted: usize) -> Vec<u32> {
    let found = graph.search(wanted, |rows, out| {
        out.extend(rows.iter().map(|&row| similarity(query, &vectors[row as usize])));
    });
    assert!(found.len() <= wanted && found.iter().collect::<HashSet<_>>().len() == found.len());
    found
}

#[test]
fn every_row_finds_itself_at_every_size() {
    for size in [1, 2, 3, 26, 256, 257, 1500] {
        let vectors: Vec<_> = (0..=size).map(vector).collect();
        let graph = built(&vectors);
        assert_eq!(graph.rows().iter().collect::<HashSet<_>>().len(), size as usize);
        let finds_itself = |&row: &u32| search(&graph, &vectors, &vectors[row as usize], 32).first() == Some(&row);
        let found = (1..=size as u32).filter(finds_itself).count();
        // The graph alone may lose some of many; that is why it is never asked alone.
        assert!(found as u64 >= size - size / 200, "{found} of {size}");
    }
}

#[test]
fn a_noisy_query_finds_its_row_among_most_others() {
    let vectors: Vec<_> = (0..3000).map(vector).collect();
    let graph = built(&vectors);
    let finds = |&row: &u32| {
        let query = near(&vectors[row as usize], u64::from(row) + 1_000_000, 0.6);
        search(&graph, &vectors, &query, 100).contains(&row)
    };
    let found = (1..3000).step_by(10).filter(finds).count();
    assert!(found >= 285, "{found} of 300");
}

#[test]
fn rows_that_went_are_walked_around_and_renumbered_ones_found_under_their_new_number() {
    let vectors: Vec<_> = (0..1000).map(vector).collect();
    let moved = built(&vectors).renumbered(|row| if row % 2 == 0 { row / 2 } else { GONE });
    let kept: Vec<_> = vectors.iter().step_by(2).cloned().collect();
    let mut found = 0;
    for row in 1..500 {
        let rows = search(&moved, &kept, &kept[row as usize], 64);
        assert!(rows.iter().all(|&row| row < 500));
        found += usize::from(rows.first() == Some(&row));
    }
    assert!(found >= 450, "{found} of 499");
    let none_left = moved.renumbered(|_| GONE);
    assert!(search(&none_left, &[], &vectors[1], 64).is_empty());
}

#[test]
fn clusters_of_near_duplicates_larger_than_a_nodes_neighbours_do_no_harm() {
    // Of equal vectors a product may exceed 1, which hnsw_rs would panic on as a negative distance.
    let centres: Vec<_> = (0..4).map(vector).collect();
    let vectors: Vec<_> =
        (0..600).map(|n| near(&centres[n as usize % 4], n, if n < 300 { 0.0 } else { 0.01 })).collect();
    let graph = built(&vectors);
    for centre in &centres {
        assert!(!search(&graph, &vectors, centre, 50).is_empty());
    }
    assert!(graph.layers().iter().all(|layer| (0..layer.num_nodes() as u32).all(|n| layer.neighbours(n).len() <= 16)));
}

#[test]
fn a_build_that_is_called_off_gives_nothing() {
    let vectors: Vec<_> = (0..100).map(vector).collect();
    let similarity = |a: u32, b: u32| similarity(&vectors[a as usize], &vectors[b as usize]);
    assert_eq!(build(OPTIONS, &(0..100).collect::<Vec<u32>>(), similarity, || true).unwrap(), None);
    assert_eq!(build(OPTIONS, &[], similarity, || false).unwrap(), None, "no rows, no graph");
}

#[test]
fn a_graph_takes_no_more_than_its_lists() {
    let vectors: Vec<_> = (0..1500).map(vector).collect();
    let graph = built(&vectors);
    assert!(graph.memory_bytes() / 1500 < 4 * (2 * OPTIONS.m + 4), "{} bytes a row", graph.memory_bytes() / 1500);
}
