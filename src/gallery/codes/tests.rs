//! The kernels against plain sums, and estimates against similarities.

#![expect(unsafe_code, reason = "the inner loop is handed memory with fences")]

use proptest::prelude::*;
use testing::Fenced;

use super::{
    coder::Group,
    scan::Codes,
    sums::{self, ByteKernel, Bytes, Line, Sums},
    test_vectors::unit_vectors,
    *,
};
use crate::view::Removed;

/// Codes of whole groups, one after the other.
struct Coded {
    coder: Coder,
    groups: Vec<Group>,
    lines: Fenced<u8>,
    corrections: Fenced<Correction>,
}

fn coded(vectors: &[f32], dimension: usize, isa: Isa) -> Coded {
    let coder = Coder::new(dimension, isa);
    let groups: Vec<Group> =
        vectors.chunks_exact(GROUP_ROWS * dimension).map(|vectors| coder.encode(vectors)).collect();
    let lines = groups.iter().flat_map(|group| group.lines.clone()).collect();
    let corrections = groups.iter().flat_map(|group| group.corrections).collect();
    Coded { coder, groups, lines, corrections }
}

impl Coded {
    /// All rows with their estimates for each query, as the scan has them, by row.
    fn scanned(&self, queries: &[&[f32]], removed: &Removed) -> Vec<Vec<(f32, u32)>> {
        let rows = self.corrections.len();
        let search =
            |query: &&[f32]| Search { lookup: Lookup::new(&self.coder, query), shortlist: Shortlist::new(rows) };
        let mut searches: Vec<Search> = queries.iter().map(search).collect();
        let group_bytes = self.coder.group_bytes();
        let codes = Codes { lines: &self.lines, corrections: &self.corrections, group_bytes, first_row: 1000 };
        scan::scan(self.coder.isa(), codes, removed, &mut searches);
        let by_row = |search: Search| {
            let mut rows = search.shortlist.into_rows().0;
            rows.sort_by_key(|(_, row)| *row);
            rows
        };
        searches.into_iter().map(by_row).collect()
    }

    /// The same, table entry by table entry.
    fn summed(&self, query: &[f32], removed: &Removed) -> Vec<(f32, u32)> {
        let lookup = Lookup::new(&self.coder, query);
        let mut rows = Vec::new();
        for at in 0..self.corrections.len() {
            let sum = sum_of_entries(&self.groups[at / GROUP_ROWS], at % GROUP_ROWS, &lookup.tables);
            let row = 1000 + at as u32;
            if !removed.contains(row) {
                rows.push(((lookup.step * sum as f32 + lookup.base) * self.corrections[at].factor(), row));
            }
        }
        rows
    }
}

/// What the tables say of a row's code.
fn sum_of_entries(group: &Group, row: usize, tables: &[u8]) -> u32 {
    let code = group.code(row);
    let nibbles = code.iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let entries = nibbles.zip(tables.chunks_exact(lookup::ENTRIES));
    entries.map(|(nibble, table)| u32::from(table[usize::from(nibble)])).sum()
}

/// The sums of a group for three queries, and which of its rows reach `line` by the first of them.
struct InnerLoop<'a> {
    lines: &'a [u8],
    tables: [&'a [u8]; 3],
    corrections: &'a [Correction; GROUP_ROWS],
    line: Line,
    sums: &'a mut [Sums; 3],
    reaching: &'a mut u64,
}

impl ByteKernel for InnerLoop<'_> {
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    unsafe fn run<B: Bytes>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            sums::sums::<B, 3>(self.lines, self.tables, self.sums);
            *self.reaching = B::reaching(&self.sums[0], self.corrections, &self.line);
        }
    }
}

proptest! {
    #![proptest_config(testing::cases(48))]
    #[test]
    fn the_inner_loop_stays_inside_of_what_it_is_given(
        dimension in prop_oneof![1_usize..90, Just(512)],
        seed in any::<u64>(),
    ) {
        let vectors = unit_vectors(GROUP_ROWS, dimension, seed);
        let queries = unit_vectors(3, dimension, seed ^ 1);
        for isa in Isa::available() {
            let coder = Coder::new(dimension, isa);
            let group = coder.encode(&vectors);
            let lines: Fenced<u8> = group.lines.iter().copied().collect();
            let tables: Vec<Fenced<u8>> = queries
                .chunks_exact(dimension)
                .map(|query| Lookup::new(&coder, query).tables.into_iter().collect())
                .collect();
            let corrections = Fenced::filled(group.corrections, 1);
            let mut found = Fenced::filled([[0; GROUP_ROWS]; 3], 1);
            let mut reaching = 0;
            let everything = Line { step: 1.0, base: 0.0, least: f32::NEG_INFINITY };
            sums::run(isa, InnerLoop {
                lines: &lines,
                tables: [&tables[0], &tables[1], &tables[2]],
                corrections: &corrections[0],
                line: everything,
                sums: &mut found[0],
                reaching: &mut reaching,
            });
            prop_assert_eq!(reaching, u64::MAX);
            for (tables, found) in tables.iter().zip(&found[0]) {
                for (row, found) in found.iter().enumerate() {
                    prop_assert_eq!(u32::from(*found), sum_of_entries(&group, row, tables), "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_adds_what_the_tables_say(
        dimension in prop_oneof![1_usize..90, Just(512), Just(4500)],
        (groups, num_queries) in (1_usize..4, 1_usize..7),
        seed in any::<u64>(),
    ) {
        let vectors = unit_vectors(groups * GROUP_ROWS, dimension, seed);
        let queries = unit_vectors(num_queries, dimension, seed ^ 1);
        let queries: Vec<&[f32]> = queries.chunks_exact(dimension).collect();
        let mut removed = Removed::default();
        (0..10).for_each(|n| removed.insert(1000 + n * 6));
        for isa in Isa::available() {
            let coded = coded(&vectors, dimension, isa);
            for (query, scanned) in queries.iter().zip(coded.scanned(&queries, &removed)) {
                let summed = coded.summed(query, &removed);
                prop_assert_eq!(scanned.len(), groups * GROUP_ROWS - 10);
                for ((estimate, row), (expected, expected_row)) in scanned.into_iter().zip(summed) {
                    prop_assert_eq!(row, expected_row);
                    prop_assert!((estimate - expected).abs() < 1e-4, "{}: {estimate}, {expected}", isa.name());
                }
            }
        }
    }
}

#[test]
fn estimates_are_right_on_average_and_seldom_off_by_more_than_the_bound() {
    let (dimension, rows) = (512, 64 * GROUP_ROWS);
    let vectors = unit_vectors(rows, dimension, 3);
    // A query that has something of every 64th row.
    let query = unit_vectors(1, dimension, 4);
    let mut near = vec![0.0; dimension];
    for vector in vectors.chunks_exact(dimension).step_by(GROUP_ROWS) {
        near.iter_mut().zip(vector).for_each(|(x, y)| *x += y);
    }
    let length = near.iter().map(|x| x * x).sum::<f32>().sqrt();
    for x in &mut near {
        *x /= length;
    }
    let coded = coded(&vectors, dimension, Isa::available()[0]);
    let mut columns = CodeColumns::new(dimension);
    vectors.chunks_exact(GROUP_ROWS * dimension).for_each(|group| columns.push(group));
    let deviation = columns.view().deviation();
    for query in [&query[..], &near] {
        let [scanned] = &coded.scanned(&[query], &Removed::default())[..] else { panic!("one query") };
        let errors: Vec<f32> = vectors
            .chunks_exact(dimension)
            .zip(scanned)
            .map(|(vector, (estimate, _))| estimate - vector.iter().zip(query).map(|(x, y)| x * y).sum::<f32>())
            .collect();
        let mean = errors.iter().sum::<f32>() / rows as f32;
        let square = errors.iter().map(|error| error * error).sum::<f32>() / rows as f32;
        assert!(mean.abs() < 0.15 * deviation, "{mean}");
        assert!((square.sqrt() / deviation - 1.0).abs() < 0.1, "{} {deviation}", square.sqrt());
        let wrong = errors.iter().filter(|error| error.abs() > DEVIATIONS * deviation).count();
        // Of normal errors 0.27 % lie beyond three deviations.
        assert!(wrong <= rows / 200, "{wrong}");
    }
}

#[test]
fn a_shortlist_keeps_the_best_and_knows_what_it_left_out() {
    let fill = |at_most| {
        let mut list = Shortlist::new(at_most);
        for row in 0..1000_u32 {
            let estimate = (row * 7919 % 1000) as f32;
            if estimate >= list.least() {
                list.offer(row, estimate);
            }
        }
        list
    };
    let (rows, cut_at) = fill(10).into_rows();
    assert!(rows.len() >= 10 && rows.iter().take(10).zip((990..1000).rev()).all(|(row, best)| row.0 as i32 == best));
    assert!((0.0..=990.0).contains(&cut_at), "{cut_at}");
    assert!(rows.iter().all(|(estimate, _)| *estimate >= cut_at));

    let mut whole = fill(1000);
    whole.raise(900.0);
    whole.raise(800.0);
    assert_eq!(whole.best(1), [fill(1000).into_rows().0[0]]);
    let (rows, cut_at) = whole.into_rows();
    assert_eq!(rows.len(), 100);
    assert!(cut_at.is_infinite(), "what was left out was not wanted");
}
