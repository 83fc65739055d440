//! Lists in pages.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{Error, Result};

/// The most entries of a page.
const MAX_PAGE: usize = 1000;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next` of the page before.
    pub(super) after: Option<String>,
    /// Entries, 1–1000; 100 if missing.
    pub(super) limit: Option<usize>,
}

impl Page {
    /// What to go on after, and the number of entries.
    pub(super) fn parse<I: std::str::FromStr<Err = Error>>(&self) -> Result<(Option<I>, usize)> {
        let limit = checked_limit(self.limit)?;
        Ok((self.after.as_deref().map(|after| after.parse().map_err(|_| foreign_cursor())).transpose()?, limit))
    }
}

/// The number of entries of a page.
pub(super) fn checked_limit(limit: Option<usize>) -> Result<usize> {
    let limit = limit.unwrap_or(100);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid(format!("limit is 1 to {MAX_PAGE}")).with_code("invalid_limit"));
    }
    Ok(limit)
}

/// For an `after` that no page gave.
pub(super) fn foreign_cursor() -> Error {
    Error::invalid("after is the next of another page").with_code("invalid_cursor")
}
