//! The exact plans: every row that can match is compared.

use std::sync::Arc;

use super::{
    products::products,
    ranking::{Best, Hit, ranked},
    rows::{Block, Rows},
};
use crate::domain::Candidate;

/// Rows compared at a time: the products of a photo's faces with them stay in the cache.
const STRIPE_ROWS: usize = 256;

/// The best `top` people of each query over all rows of `blocks`, rows of `dimension` numbers.
pub(super) fn scan(blocks: &[Arc<Block>], dimension: usize, queries: &[&[f32]], top: usize) -> Vec<Vec<Candidate>> {
    let mut best: Vec<Best<'_>> = queries.iter().map(|_| Best::new(top)).collect();
    let mut similarities = vec![0.0; queries.len() * STRIPE_ROWS];
    let mut stripe = Vec::with_capacity(STRIPE_ROWS);
    for block in blocks {
        for (index, vectors) in block.vectors().chunks(STRIPE_ROWS * dimension).enumerate() {
            stripe.clear();
            stripe.extend(vectors.chunks_exact(dimension));
            let similarities = &mut similarities[..queries.len() * stripe.len()];
            products(queries, &stripe, similarities);
            for (best, similarities) in best.iter_mut().zip(similarities.chunks_exact(stripe.len())) {
                for (offset, &similarity) in similarities.iter().enumerate() {
                    if best.may_take(similarity) {
                        let row = index * STRIPE_ROWS + offset;
                        best.offer(Hit { similarity, person: block.person(row), face: block.face(row) });
                    }
                }
            }
        }
    }
    best.into_iter().map(Best::into_candidates).collect()
}

/// The best `top` of the `people`, given with the numbers of their rows, for each query.
pub(super) fn gather(rows: &Rows, people: &[&[u32]], queries: &[&[f32]], top: usize) -> Vec<Vec<Candidate>> {
    let numbers: Vec<u32> = people.iter().flat_map(|rows| rows.iter().copied()).collect();
    let mut hits: Vec<Vec<Hit<'_>>> = queries.iter().map(|_| Vec::with_capacity(people.len())).collect();
    let mut similarities = vec![0.0; queries.len() * STRIPE_ROWS.min(numbers.len())];
    for stripe in numbers.chunks(STRIPE_ROWS) {
        let vectors: Vec<&[f32]> = stripe.iter().map(|&row| rows.vector(row)).collect();
        let whose: Vec<_> =
            stripe.iter().map(|&row| rows.locate(row)).map(|(b, at)| (b.person(at), b.face(at))).collect();
        let similarities = &mut similarities[..queries.len() * stripe.len()];
        products(queries, &vectors, similarities);
        for (hits, similarities) in hits.iter_mut().zip(similarities.chunks_exact(stripe.len())) {
            for (&(person, face), &similarity) in whose.iter().zip(similarities) {
                let hit = Hit { similarity, person, face };
                // A person's rows follow each other, so only the last hit can be theirs.
                match hits.last_mut() {
                    Some(last) if last.is_of(hit.person) => {
                        if hit.rank(last).is_lt() {
                            *last = hit;
                        }
                    }
                    _ => hits.push(hit),
                }
            }
        }
    }
    hits.into_iter().map(|hits| ranked(hits, top)).collect()
}
