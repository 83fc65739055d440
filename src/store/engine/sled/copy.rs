//! A copy of the whole store as of one moment, taken while it serves.
//!
//! sled 0.34 has no snapshots, so a copy is taken in rounds. The first reads everything, page by page, while the
//! database notes which keys are changed meanwhile; each further round reads again what was changed during the one
//! before. Rounds shrink, and the last, which is small, is read under one view: no write comes between, so what was
//! copied is then exactly what the store holds at that moment. Everything acknowledged before the copy began is in
//! it, every operation is in it as a whole or not at all, and writes wait for no more than one small page.

use super::{
    super::{Change, Copying, Read, Readable, View},
    db::Watch,
};
use crate::{
    error::Result,
    store::{codec, failures::outrun, keys::Key},
};

/// Records read under one view: writes wait for no more than this.
const PAGE: usize = 256;
/// Rounds before a copy that does not catch up with the writes is given up.
const MAX_ROUNDS: usize = 100;

/// A copy under way.
pub(super) struct Copy {
    watch: Watch,
    round: Round,
    rounds: usize,
}

/// What is to be read next.
enum Round {
    /// Everything, from now on.
    First,
    /// Every key after this one.
    All(Option<Key>),
    /// These keys, the last first.
    Changed(Vec<Key>),
    /// Nothing: it is whole.
    Over,
}

impl Copy {
    /// A copy of the database that is watched, as of when its first page is asked for or later.
    pub(super) fn new(watch: Watch) -> Self {
        Self { watch, round: Round::First, rounds: 0 }
    }

    /// The next page but the last; `None` where what is left is one page, or was when it was looked at: then call
    /// [`Self::last_page`]. Errors as for [`Copying::page`].
    pub(super) fn page_before_last(&mut self) -> Result<Option<Vec<Change>>> {
        if matches!(self.round, Round::First) {
            // What was changed before is read with the first page.
            self.watch.take_changed()?;
            self.round = Round::All(None);
        }
        if matches!(&self.round, Round::Changed(keys) if keys.is_empty()) && self.begin_round()? {
            return Ok(None);
        }
        let view = self.watch.db().view()?;
        let page = match &mut self.round {
            Round::First | Round::Over => return Ok(None),
            Round::All(after) => {
                let page = scan(&view, after.as_deref())?;
                match page.last() {
                    Some((key, _)) => *after = Some(key.clone()),
                    None => self.round = Round::Changed(Vec::new()),
                }
                page
            }
            Round::Changed(keys) => read(&view, keys.split_off(keys.len().saturating_sub(PAGE)))?,
        };
        checked(page).map(Some)
    }

    /// What was changed since the pages before. With it the copy is what the database is at this moment.
    pub(super) fn last_page(&mut self) -> Result<Vec<Change>> {
        let view = self.watch.db().view()?;
        let mut keys = self.watch.take_changed()?;
        if let Round::Changed(rest) = std::mem::replace(&mut self.round, Round::Over) {
            keys.extend(rest);
        }
        checked(read(&view, keys)?)
    }

    /// Begins another round; whether it is so small that it is the last.
    fn begin_round(&mut self) -> Result<bool> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(outrun());
        }
        let changed: Vec<Key> = self.watch.take_changed()?.into_iter().collect();
        let is_last = changed.len() <= PAGE;
        self.round = Round::Changed(changed);
        Ok(is_last)
    }
}

impl Copying for Copy {
    fn page(&mut self) -> Result<Option<Vec<Change>>> {
        match (self.page_before_last()?, &self.round) {
            (None, Round::Over) => Ok(None),
            (None, _) => self.last_page().map(Some),
            (page, _) => Ok(page),
        }
    }
}

fn scan(view: &View<'_>, after: Option<&[u8]>) -> Result<Vec<Change>> {
    let entries = view.scan_bytes(&[], after).take(PAGE);
    entries.map(|entry| entry.map(|(key, value)| (key, Some(value)))).collect()
}

fn read(view: &View<'_>, keys: impl IntoIterator<Item = Key>) -> Result<Vec<Change>> {
    keys.into_iter().map(|key| view.bytes(&key).map(|value| (key, value))).collect()
}

/// Errors: `Storage` `damaged_record`.
fn checked(page: Vec<Change>) -> Result<Vec<Change>> {
    let is_intact = |value: &Option<Vec<u8>>| value.as_ref().is_none_or(|value| codec::is_intact(value));
    if page.iter().all(|(_, value)| is_intact(value)) { Ok(page) } else { Err(codec::damaged()) }
}
