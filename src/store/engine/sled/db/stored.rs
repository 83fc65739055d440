//! What is stored, as it is stored: pieces, heads and the sum like any other. For a database that is put together from
//! another's log.

use std::{ops::Bound, sync::PoisonError};

use super::{Db, into_error};
use crate::{
    error::Result,
    store::{
        engine::{sled::pieces::SUM_KEY, sum::Sum},
        keys::Key,
    },
};

impl Db {
    /// Sets what is stored, as it is stored: no record is cut into pieces, none is counted. For a database that is put
    /// together from another's log; follow it by [`Self::read_sum`].
    pub(in crate::store) fn set_stored(&self, stored: impl IntoIterator<Item = (Key, Option<Vec<u8>>)>) -> Result<()> {
        let mut batch = sled::Batch::default();
        for (key, value) in stored {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.or_fail(|| self.tree.apply_batch(batch).map_err(into_error))
    }

    /// The keys of `range` under which anything is stored.
    pub(in crate::store) fn stored_keys(&self, range: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Vec<Key>> {
        let keys = self.tree.range::<&[u8], _>(range).keys();
        keys.map(|key| key.map(|key| key.to_vec()).map_err(into_error)).collect()
    }

    /// Takes the sum that was set.
    pub(in crate::store) fn read_sum(&self) -> Result<()> {
        let stored = self.tree.get(SUM_KEY).map_err(into_error)?;
        let sum = stored.and_then(|stored| Sum::of(&stored)).unwrap_or_default();
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = sum;
        Ok(())
    }
}
