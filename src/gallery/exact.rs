//! The exact plans: every row that can match is compared.

use std::ops::Range;

use super::{
    products::products,
    ranking::{Best, Hit},
    view::View,
};

/// Rows compared at a time: the products of a photo's faces with them stay in the cache.
const STRIPE_ROWS: usize = 256;

/// The best `top` people of each query over all rows.
pub(super) fn scan(view: &View, queries: &[&[f32]], top: usize) -> Vec<Vec<Hit>> {
    let mut best: Vec<Best<'_>> = queries.iter().map(|_| Best::new(view, top)).collect();
    scan_rows(view, 0..view.len, queries, &mut best);
    best.into_iter().map(Best::into_hits).collect()
}

/// Offers the rows of a range to the best of each query.
pub(super) fn scan_rows(view: &View, rows: Range<usize>, queries: &[&[f32]], best: &mut [Best<'_>]) {
    let mut similarities = vec![0.0; queries.len() * STRIPE_ROWS];
    let mut stripe = Vec::with_capacity(STRIPE_ROWS);
    let mut end_of_chunk = 0;
    for chunk in view.vectors.chunks() {
        let start_of_chunk = end_of_chunk;
        end_of_chunk += chunk.len() / view.dimension;
        let mut row = rows.start.clamp(start_of_chunk, end_of_chunk);
        let end = rows.end.clamp(row, end_of_chunk);
        let wanted = (row - start_of_chunk) * view.dimension..(end - start_of_chunk) * view.dimension;
        for vectors in chunk[wanted].chunks(STRIPE_ROWS * view.dimension) {
            stripe.clear();
            stripe.extend(vectors.chunks_exact(view.dimension));
            compare(&stripe, |at| (row + at) as u32, queries, &mut similarities, best);
            row += stripe.len();
        }
    }
}

/// Offers the given rows to the best of each query.
pub(super) fn compare_rows(view: &View, rows: &[u32], queries: &[&[f32]], best: &mut [Best<'_>]) {
    let mut similarities = vec![0.0; queries.len() * STRIPE_ROWS.min(rows.len())];
    for stripe in rows.chunks(STRIPE_ROWS) {
        let vectors: Vec<&[f32]> = stripe.iter().map(|&row| view.vector(row)).collect();
        compare(&vectors, |at| stripe[at], queries, &mut similarities, best);
    }
}

fn compare(
    vectors: &[&[f32]],
    row: impl Fn(usize) -> u32,
    queries: &[&[f32]],
    similarities: &mut [f32],
    best: &mut [Best<'_>],
) {
    let similarities = &mut similarities[..queries.len() * vectors.len()];
    products(queries, vectors, similarities);
    for (best, similarities) in best.iter_mut().zip(similarities.chunks_exact(vectors.len())) {
        for (at, &similarity) in similarities.iter().enumerate() {
            if best.may_take(similarity) {
                best.offer(row(at), similarity);
            }
        }
    }
}
