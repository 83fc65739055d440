//! Who is on a face: searches over a tenant's enrolled samples, in memory.
//!
//! A gallery is a disposable projection of what is enrolled: made from it, changed right after it, never the only place
//! of anything. A person's score is the best of their samples.
//!
//! | module | holds |
//! |---|---|
//! | `tenant` | one tenant's gallery: changes and searches |
//! | `admission` | who may be found where a consent is needed |
//! | `negatives` | faces that are not a person's |
//! | `spread` | one search over all threads |
//! | `index` | rows and whose they are; the changes |
//! | `view` | the index at one moment, as searches see it |
//! | `column` | append-only memory that both share |
//! | `people` | ids of people |
//! | `planner` | which plan a search takes |
//! | `costs` | what the plans cost on this machine |
//! | `exact` | the exact plans |
//! | `candidates` | plans that compare what something cheaper chose |
//! | `codes` | one-bit codes, which choose |
//! | `graph` | a graph, which chooses together with the codes |
//! | `snapshot` | a graph as bytes |
//! | `tending` | building a gallery's graph, its snapshot and back |
//! | `referee` | repeats searches exactly, to say which plan can be trusted |
//! | `check` | the same on demand |
//! | `pairs` | how alike samples are to each other |
//! | `rebuild` | a gallery without its tombstones |
//! | `upkeep` | the thread that rebuilds |
//! | `ranking` | best people first |
//! | `vector` | what a vector must be |
//! | `products` | scalar products, by SIMD where the processor has it |

mod admission;
mod candidates;
mod check;
mod codes;
mod column;
mod costs;
mod exact;
mod graph;
mod index;
mod negatives;
mod pairs;
mod people;
mod planner;
mod products;
mod ranking;
mod rebuild;
mod referee;
mod snapshot;
mod spread;
mod tenant;
mod tending;
mod upkeep;
mod vector;
mod view;

#[cfg(test)]
mod tests;

pub use self::{
    admission::ConsentEnd,
    check::{Checked, WayChecked, check},
    graph::GraphOptions,
    pairs::{PairLimits, Pairs, pairs},
    planner::Plan,
    rebuild::Rebuilt,
    referee::{Referee, RefereeObserver, RefereeOptions, falls_short},
    spread::SharedRequest,
    tenant::{Effort, GalleryOptions, SearchObserver, SearchRequest, SearchResult, TenantGallery},
    tending::GraphReach,
    upkeep::Upkeep,
    vector::check_vector,
};
