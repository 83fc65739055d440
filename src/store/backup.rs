//! Copies of the whole store, taken while it serves, and stores made from them.
//!
//! sled 0.34 has no snapshots, so a copy is taken in rounds. The first reads everything, page by page, while the
//! database notes which keys are changed meanwhile; each further round reads again what was changed during the one
//! before. Rounds shrink, and the last, which is small, is read under one view: no write comes between, so what was
//! copied is then exactly what the store holds at that moment. Everything acknowledged before the copy began is in
//! it, every operation is in it as a whole or not at all, and writes wait for no more than one small page.

use std::{
    io::{BufReader, Read as IoRead},
    mem,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};

use super::{
    Store,
    archive::{Change, Reader, Writer},
    blocking, codec,
    db::{Db, Read, View, Watch, outrun},
    keys::Key,
    marker::make_private_folder,
    open::{DEFAULT_CACHE_BYTES, FORMAT_VERSION, check_version, require_format},
};
use crate::error::{Error, ErrorKind, Result};

/// Records read under one view: writes wait for no more than this.
const PAGE: usize = 256;
/// Rounds before a copy that does not catch up with the writes is given up.
const MAX_ROUNDS: usize = 100;
/// Pieces made before the first is taken.
const PIECES_AHEAD: usize = 4;
/// How long nobody may take a piece before the copy is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pieces of a backup, in order; together they are its file. A backup whose last piece did not come is none.
pub struct BackupStream(mpsc::Receiver<Result<Bytes>>);

impl Stream for BackupStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

impl Store {
    /// Begins a copy of the store, which goes on while its pieces are taken and ends when the stream is dropped.
    ///
    /// Errors: `Conflict` `backup_running` while another is taken. In the stream: `Storage` `damaged_record` where a
    /// record is not what was written; `Overloaded` `backup_outrun` where it does not catch up with the writes.
    pub fn backup(&self) -> Result<BackupStream> {
        let watch = self.inner.db.watch().ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "another backup is being taken").with_code("backup_running")
        })?;
        let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
        tokio::spawn(async move {
            if let Err(error) = send_copy(watch, &pieces).await {
                tracing::warn!(code = error.code(), "a backup was not finished");
                // Fails only where nobody takes the backup any more.
                let _ = timeout(PATIENCE, pieces.send(Err(error))).await;
            }
        });
        Ok(BackupStream(taken))
    }
}

/// Makes a store in the folder `path`, which must not hold one, from a backup. The folder must not be used before
/// this has returned. Returns the number of changes in the backup.
///
/// Blocks. Errors: `Invalid` `not_a_backup`, `truncated_backup`, `damaged_backup` or `newer_backup`; `Storage`
/// `newer_store`, `store_io`.
pub fn restore(path: &Path, backup: impl IoRead) -> Result<u64> {
    let mut reader = open(backup)?;
    make_private_folder(path)?;
    let db = Db::open(path, DEFAULT_CACHE_BYTES)?;
    while let Some(changes) = reader.next_chunk()? {
        db.apply(changes.into_iter().collect())?;
    }
    require_format(&db)?;
    db.flush()?;
    Ok(reader.entries())
}

/// Reads a backup to its end; the number of changes in it. Blocks. Errors as for [`restore`].
pub fn verify_backup(backup: impl IoRead) -> Result<u64> {
    let mut reader = open(backup)?;
    while let Some(changes) = reader.next_chunk()? {
        if !changes.iter().filter_map(|(_, value)| value.as_ref()).all(|value| codec::is_intact(value)) {
            return Err(codec::damaged());
        }
    }
    Ok(reader.entries())
}

fn open<R: IoRead>(backup: R) -> Result<Reader<BufReader<R>>> {
    let reader = Reader::open(BufReader::new(backup))?;
    check_version(reader.store_version())?;
    Ok(reader)
}

async fn send_copy(watch: Watch, pieces: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    let gone = || Error::new(ErrorKind::Cancelled, "nobody takes the backup any more").with_code("backup_abandoned");
    let mut copy = Copy::new(watch);
    while !copy.is_complete() {
        copy = blocking(move || copy.step()).await?;
        for piece in mem::take(&mut copy.pieces) {
            timeout(PATIENCE, pieces.send(Ok(piece))).await.map_err(|_| gone())?.map_err(|_| gone())?;
        }
    }
    Ok(())
}

/// A copy under way.
struct Copy {
    watch: Arc<Watch>,
    /// `None` once the copy is complete.
    writer: Option<Writer>,
    round: Round,
    rounds: usize,
    /// Made and not yet sent.
    pieces: Vec<Bytes>,
}

/// What is to be read next.
enum Round {
    /// Every key after this one.
    All(Option<Key>),
    /// These keys, the last first.
    Changed(Vec<Key>),
}

impl Copy {
    fn new(watch: Watch) -> Self {
        let (writer, header) = Writer::new(FORMAT_VERSION);
        let round = Round::All(None);
        Self { watch: Arc::new(watch), writer: Some(writer), round, rounds: 0, pieces: vec![header] }
    }

    fn is_complete(&self) -> bool {
        self.writer.is_none()
    }

    /// Copies a page.
    fn step(mut self) -> Result<Self> {
        let watch = Arc::clone(&self.watch);
        let view = watch.db().view();
        let page = match &mut self.round {
            Round::All(after) => {
                let page = scan(&view, after.as_deref())?;
                *after = page.last().map(|(key, _)| key.clone());
                page
            }
            Round::Changed(keys) => read(&view, keys.split_off(keys.len().saturating_sub(PAGE)))?,
        };
        let is_over = match &self.round {
            Round::All(after) => after.is_none(),
            Round::Changed(keys) => keys.is_empty(),
        };
        self.write(&page)?;
        if is_over { self.next_round(&view) } else { Ok(self) }
    }

    /// Begins another round, or ends the copy where that would be one page: it is then read under the present view.
    fn next_round(mut self, view: &View<'_>) -> Result<Self> {
        self.rounds += 1;
        if self.rounds > MAX_ROUNDS {
            return Err(outrun());
        }
        let changed: Vec<Key> = self.watch.take_changed()?.into_iter().collect();
        if changed.len() > PAGE {
            self.round = Round::Changed(changed);
            return Ok(self);
        }
        self.write(&read(view, changed)?)?;
        self.pieces.extend(self.writer.take().map(Writer::finish));
        Ok(self)
    }

    fn write(&mut self, page: &[Change]) -> Result<()> {
        for change in page {
            if change.1.as_ref().is_some_and(|value| !codec::is_intact(value)) {
                return Err(codec::damaged());
            }
            self.pieces.extend(self.writer.as_mut().and_then(|writer| writer.push(change)));
        }
        Ok(())
    }
}

fn scan(view: &View<'_>, after: Option<&[u8]>) -> Result<Vec<Change>> {
    let entries = view.scan_bytes(&[], after).take(PAGE);
    entries.map(|entry| entry.map(|(key, value)| (key, Some(value)))).collect()
}

fn read(view: &View<'_>, keys: Vec<Key>) -> Result<Vec<Change>> {
    keys.into_iter().map(|key| view.bytes(&key).map(|value| (key, value))).collect()
}
