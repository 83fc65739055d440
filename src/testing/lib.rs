//! What the tests of kernels share: memory that ends at a fence, and how many cases a property gets.

mod fenced;

pub use fenced::{Fenced, FencedLines};

use proptest::test_runner::Config;

/// `usual` cases of a property, or as many as `PROPTEST_CASES` says, which [`Config::with_cases`] does not ask: under
/// valgrind each takes some thirty times as long.
pub fn cases(usual: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(usual),
    }
}
