//! One delivery to a webhook: where it may go, how it is signed, what became of it, and when it is tried again.

mod addresses;
mod backoff;
mod post;
mod signature;

pub use self::{
    addresses::Reach,
    backoff::Backoff,
    post::{Failure, Letter, Post},
    signature::{new_secret, signature},
};
