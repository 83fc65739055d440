//! Copies of the whole store as files, the stores made from them, and a list of the copies that were taken: each may
//! hold somebody who is erased later.

use std::{
    io::{BufReader, Read as IoRead},
    mem,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tracing::Instrument;

use super::{
    archive::{Reader, Writer},
    migrations::{check_version, require_version},
    open::{DEFAULT_CACHE_BYTES, FORMAT_VERSION},
    rewrite::rewrite_running,
};
use crate::{
    domain::{Author, BackupId, Right},
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        access::audit,
        blocking,
        codec::{self, Older, OlderBody},
        engine::{Copying, Read, sled::Sled},
        keys,
        transaction::Transaction,
    },
};

/// Pieces made before the first is taken.
const PIECES_AHEAD: usize = 4;
/// How long nobody may take a piece before the copy is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A backup that was given to somebody. The server does not know what became of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// When it was begun: all that was acknowledged before is in it.
    pub begun_at: Timestamp,
    /// When it was whole or given up: nothing later is in it. Nothing while it is taken, and in the backup itself.
    pub ended_at: Option<Timestamp>,
    /// What the one who took it calls it.
    pub name: Option<String>,
    /// Its size, once it was given whole. Nothing of those that were begun before sizes were noted.
    pub bytes: Option<u64>,
    /// Whether all of it was given.
    pub is_whole: bool,
}

impl Older for Backup {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        let BackupV1 { id, begun_at, ended_at } = body.read()?;
        // It was not told apart whether such a one was given up: it is listed as it was.
        Ok(Self { id, begun_at, ended_at, name: None, bytes: None, is_whole: ended_at.is_some() })
    }
}

/// Before backups had names and sizes.
#[derive(Deserialize)]
struct BackupV1 {
    id: BackupId,
    begun_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// The pieces of a backup, in order; together they are its file. A backup whose last piece did not come is none.
pub struct BackupStream(mpsc::Receiver<Result<Bytes>>);

impl Stream for BackupStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

impl Store {
    /// Begins a copy of the store, called `name`, which goes on while its pieces are taken and ends when the stream is
    /// dropped. Erasures name it from here on, and it is listed when it is whole; `now` tells when it begins and when it
    /// ends.
    ///
    /// Errors: `Conflict` `backup_running` while another is taken, `rewrite_running` while the store is rewritten. In
    /// the stream: `Storage` `damaged_record` where a record is not what was written; `Overloaded` `copy_outrun` where it
    /// does not catch up with the writes.
    pub async fn backup(
        &self,
        right: &Right,
        name: Option<String>,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<BackupStream> {
        let copy = self
            .engine()
            .copy()
            .ok_or_else(|| if self.is_being_rewritten() { rewrite_running() } else { backup_running() })?;
        let id = BackupId::generate();
        let begun = Backup { id, begun_at: now(), ended_at: None, name, bytes: None, is_whole: false };
        self.begin_backup(right, begun).await?;
        let copy = Archiving::new(copy);
        let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
        let store = self.clone();
        let sending = async move {
            let sent = send_copy(copy, &pieces).await;
            // Noted before its reader learns of the end, and may look at the list.
            let bytes = sent.as_ref().ok().map(|(_, bytes)| *bytes);
            if let Err(error) = store.end_backup(id, now(), bytes).await {
                tracing::warn!(%error, "the end of a backup was not noted");
            }
            let last = sent
                .map(|(last, _)| last)
                .inspect_err(|error| tracing::warn!(code = error.code(), "a backup was not finished"));
            // Fails only where nobody takes the backup any more.
            let _ = timeout(PATIENCE, pieces.send(last)).await;
        };
        tokio::spawn(sending.in_current_span());
        Ok(BackupStream(taken))
    }

    /// At most `limit` whole backups that were begun after `after`, in the order of their beginnings.
    pub async fn backups(&self, after: Option<BackupId>, limit: usize) -> Result<Vec<Backup>> {
        let after = after.map(keys::backup);
        let is_listed = |backup: &Result<Backup>| backup.as_ref().map_or(true, |backup| backup.is_whole);
        self.read(move |view| view.scan(&keys::backups(), after.as_deref()).filter(is_listed).take(limit).collect())
            .await
    }

    /// Takes a backup off the list: its file is no more. Errors: `NotFound` `backup_not_found`.
    pub async fn strike_backup(&self, right: &Right, backup: BackupId) -> Result<()> {
        let (author, at) = (Author::on_server(right), keys::backup(backup));
        self.write(right, move |transaction| {
            if !transaction.has(&at)? {
                return Err(Error::not_found("there is no such backup").with_code("backup_not_found"));
            }
            strike(transaction, &author, backup)
        })
        .await
    }

    /// Takes the backups of this name off the list: they are no more, or never came to be.
    pub async fn strike_backups_called(&self, right: &Right, name: String) -> Result<()> {
        let author = Author::on_server(right);
        self.write(right, move |transaction| {
            let backups: Vec<Backup> = transaction.scan(&keys::backups(), None).collect::<Result<_>>()?;
            for backup in backups.into_iter().filter(|backup| backup.name.as_ref() == Some(&name)) {
                strike(transaction, &author, backup.id)?;
            }
            Ok(())
        })
        .await
    }

    /// One is taken at a time, so whatever began before has ended, if only by a crash.
    async fn begin_backup(&self, right: &Right, backup: Backup) -> Result<()> {
        self.write(right, move |transaction| {
            end(transaction, backup.begun_at, None, |_| true)?;
            transaction.put(keys::backup(backup.id), &backup)
        })
        .await
    }

    /// `bytes` is the size of a whole one.
    async fn end_backup(&self, id: BackupId, at: Timestamp, bytes: Option<u64>) -> Result<()> {
        let right = Right::of_machine();
        self.write(&right, move |transaction| end(transaction, at, bytes, |backup| backup.id == id)).await
    }
}

fn strike(transaction: &mut Transaction<'_>, author: &Author, backup: BackupId) -> Result<()> {
    transaction.remove(keys::backup(backup));
    audit::note(transaction, author, "backup.strike", |it| it.before(&json!({ "backup": backup.to_string() })))
}

/// The error while a backup is taken.
pub(in crate::store) fn backup_running() -> Error {
    Error::new(ErrorKind::Conflict, "a backup is being taken").with_code("backup_running")
}

/// Notes the end of those backups that have none yet; with `bytes`, that they are whole.
fn end(
    transaction: &mut Transaction<'_>,
    at: Timestamp,
    bytes: Option<u64>,
    is_meant: impl Fn(&Backup) -> bool,
) -> Result<()> {
    let backups: Vec<Backup> = transaction.scan(&keys::backups(), None).collect::<Result<_>>()?;
    for backup in backups.into_iter().filter(|backup| backup.ended_at.is_none() && is_meant(backup)) {
        let ended = Backup { ended_at: Some(at), bytes, is_whole: bytes.is_some(), ..backup };
        transaction.put(keys::backup(ended.id), &ended)?;
    }
    Ok(())
}

/// Makes a store in the folder `path`, which must not hold one, from a backup. The folder must not be used before
/// this has returned. Returns the number of changes in the backup.
///
/// Blocks. Errors: `Invalid` `not_a_backup`, `truncated_backup`, `damaged_backup` or `newer_backup`; `Storage`
/// `newer_store`, `store_io`.
pub fn restore(path: &Path, backup: impl IoRead) -> Result<u64> {
    let mut reader = open(backup)?;
    Sled::fill(path, DEFAULT_CACHE_BYTES, || reader.next_chunk(), require_version)?;
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

/// Sends all pieces but the last, which it returns with the size of the whole.
async fn send_copy(mut copy: Archiving, pieces: &mpsc::Sender<Result<Bytes>>) -> Result<(Bytes, u64)> {
    let gone = || Error::new(ErrorKind::Cancelled, "nobody takes the backup any more").with_code("backup_abandoned");
    let mut bytes = 0;
    loop {
        copy = blocking(move || copy.step()).await?;
        for piece in mem::take(&mut copy.pieces) {
            bytes += piece.len() as u64;
            timeout(PATIENCE, pieces.send(Ok(piece))).await.map_err(|_| gone())?.map_err(|_| gone())?;
        }
        if copy.is_complete {
            let last = copy.writer.finish();
            bytes += last.len() as u64;
            return Ok((last, bytes));
        }
    }
}

/// A copy on its way into a file.
struct Archiving {
    copy: Box<dyn Copying>,
    writer: Writer,
    /// Made and not yet sent.
    pieces: Vec<Bytes>,
    is_complete: bool,
}

impl Archiving {
    fn new(copy: Box<dyn Copying>) -> Self {
        let (writer, header) = Writer::new(FORMAT_VERSION);
        Self { copy, writer, pieces: vec![header], is_complete: false }
    }

    /// Copies a page.
    fn step(mut self) -> Result<Self> {
        match self.copy.page()? {
            Some(page) => self.pieces.extend(page.iter().filter_map(|change| self.writer.push(change))),
            None => self.is_complete = true,
        }
        Ok(self)
    }
}
