//! Who is on a face: searches over a tenant's enrolled samples, in memory.
//!
//! A gallery is a disposable projection of the store: made from it at first use, changed right after it, never
//! written anywhere. A person's score is the best of their samples.
//!
//! | module | holds |
//! |---|---|
//! | `registry` | one gallery a tenant, loaded once; the order of changes to one person |
//! | `tenant` | one tenant's gallery: changes and searches |
//! | `planner` | which plan a search takes |
//! | `exact` | the exact plans |
//! | `ranking` | best people first |
//! | `rows` | vectors and whose they are |
//! | `vector` | what a vector must be |
//! | `products` | scalar products, by SIMD where the processor has it |

mod exact;
mod planner;
mod products;
mod ranking;
mod registry;
mod rows;
mod tenant;
mod vector;

#[cfg(test)]
mod tests;

pub use self::{
    planner::Plan,
    registry::{Galleries, PersonGuard},
    tenant::{SearchObserver, SearchRequest, SearchResult, TenantGallery},
    vector::check_vector,
};
