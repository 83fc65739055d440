//! Ready vectors through a throw-away store, one person with one sample at a time: durable and found by the next
//! search before the client sends its next one.

use std::{cell::RefCell, io::Write, time::Instant};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    super::{Parts, round},
    vectors::{VectorFiles, person, sample},
};
use crate::{
    domain::{FaceSample, ModelId, Person, TenantScope},
    error::{Error, Result},
    service::access::first_start::DEFAULT_TENANT,
};

/// Rows that one client alone stores; the others are stored by many.
const ROWS_OF_ONE: usize = 10_000;
/// The many.
const CLIENTS: usize = 16;
/// Writes of a block, each followed by an fsync; the median counts.
const FSYNCS: usize = 101;
const BLOCK_BYTES: usize = 4096;

/// What the store adds to a gallery.
#[derive(Clone, Default, Serialize)]
pub(super) struct StoreFigures {
    /// From the store to the first answer.
    pub(super) load_s: Option<f64>,
    pub(super) insert_per_s: Option<f64>,
    pub(super) insert_per_s_16: Option<f64>,
    pub(super) fsync_ms: Option<f64>,
}

pub(super) async fn measure(parts: &Parts, files: &VectorFiles) -> Result<StoreFigures> {
    let scope = TenantScope::granted(DEFAULT_TENANT.parse()?);
    let galleries = &parts.tools().galleries;
    galleries.tenant(&scope).await?;
    let model = parts.tools().networks.get().embedder.model_id().clone();
    let people = RefCell::new(People { rows: files.rows()?, next_row: 0, model });
    let fsync_ms = fsync_ms(parts)?;
    let insert_per_s = enrol(parts, &scope, &people, 1, ROWS_OF_ONE).await?;
    let insert_per_s_16 = enrol(parts, &scope, &people, CLIENTS, usize::MAX).await?;
    galleries.unload(&scope);
    let start = Instant::now();
    let loaded = galleries.tenant(&scope).await?;
    let load_s = start.elapsed().as_secs_f64();
    if loaded.len() != files.rows {
        return Err(Error::internal("the store gave back another number of samples than it took"));
    }
    Ok(StoreFigures { load_s: Some(round(load_s, 2)), insert_per_s, insert_per_s_16, fsync_ms: Some(fsync_ms) })
}

/// People with a ready sample each, made as they are taken.
struct People<R> {
    rows: R,
    next_row: usize,
    model: ModelId,
}

impl<R: Iterator<Item = Result<Vec<f32>>>> People<R> {
    /// The next person, unless there are no more rows or all before row `end` were taken.
    fn next(&mut self, end: usize) -> Result<Option<(Person, FaceSample)>> {
        if self.next_row >= end {
            return Ok(None);
        }
        let Some(vector) = self.rows.next().transpose()? else { return Ok(None) };
        let id = person(self.next_row)?;
        self.next_row += 1;
        let sample = sample(id.clone(), &self.model, vector);
        Ok(Some((Person::new(id.clone(), id.to_string(), Timestamp::UNIX_EPOCH), sample)))
    }
}

/// Has so many clients enrol people, one after the other each, up to row `end`; returns samples a second.
async fn enrol<R: Iterator<Item = Result<Vec<f32>>>>(
    parts: &Parts,
    scope: &TenantScope,
    people: &RefCell<People<R>>,
    clients: usize,
    end: usize,
) -> Result<Option<f64>> {
    let store = &parts.tools().store;
    let client = async |_| {
        let mut stored = 0;
        loop {
            let next = people.borrow_mut().next(end)?;
            let Some((person, sample)) = next else { return Ok::<_, Error>(stored) };
            store.create_person(scope, person, &[], vec![sample]).await?;
            stored += 1;
        }
    };
    let start = Instant::now();
    let stored: usize = try_join_all((0..clients).map(client)).await?.into_iter().sum();
    Ok((stored > 0).then(|| round(stored as f64 / start.elapsed().as_secs_f64(), 0)))
}

/// Milliseconds of a small write that is on the disk when it returns, where the store lies.
fn fsync_ms(parts: &Parts) -> Result<f64> {
    let failed = |error| Error::storage("the throw-away folder cannot be written").with_source(error);
    let mut file = tempfile::tempfile_in(parts.folder()).map_err(failed)?;
    let mut times = Vec::with_capacity(FSYNCS);
    for _ in 0..FSYNCS {
        let start = Instant::now();
        file.write_all(&[0; BLOCK_BYTES]).and_then(|()| file.sync_all()).map_err(failed)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(round(times[FSYNCS / 2], 3))
}
