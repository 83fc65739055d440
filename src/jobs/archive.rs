//! Photos in a ZIP file. Its names are never paths of ours, and nothing of it is unpacked but one photo at a time.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use jiff::civil::DateTime;
use tokio::task::spawn_blocking;
use zip::{ZipArchive, result::ZipError};

use crate::{
    domain::job::Fault,
    error::{Error, ErrorKind, Result},
};

/// A photo that unpacks to more than so many times its size is none.
const MAX_PHOTO_RATIO: u64 = 100;
/// All of it may unpack to so many times its size, or to [`SMALL_BYTES`]: photos hardly shrink.
const MAX_RATIO: u64 = 20;
/// What may unpack whatever its ratio.
const SMALL_BYTES: u64 = 100 << 20;
/// Of the directory, for each entry that is allowed: its fixed part and its name.
const DIRECTORY_BYTES_AN_ENTRY: u64 = 256;
/// Read to find the directory.
const SEARCH_BYTES: u64 = 4 << 20;

/// The end of a directory, without the comment behind it.
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: usize = 0xffff;
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: u64 = 20;

/// An open file; clones share it.
#[derive(Clone)]
pub struct Archive(Arc<Mutex<ZipArchive<Metered>>>);

/// A file in it that may be a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By which it is read.
    pub index: usize,
    /// Its name with its folders, parted by slashes.
    pub name: String,
    /// When it was changed last, in a zone that nobody knows.
    pub modified: Option<DateTime>,
}

impl Archive {
    /// Opens the file of at most `max_entries`. Blocks.
    ///
    /// # Errors
    /// `Invalid` `invalid_zip`; `TooLarge` `too_many_entries` or `zip_bomb`.
    pub fn open(path: &Path, max_entries: u64) -> Result<Self> {
        let failed = |error: io::Error| invalid("the ZIP file cannot be read").with_source(error);
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let entries = num_entries(&mut file, bytes)?;
        if entries > max_entries {
            let message = format!("the ZIP file has {entries} entries, at most {max_entries} can be read");
            return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_entries"));
        }
        file.rewind().map_err(failed)?;
        let left =
            Arc::new(AtomicU64::new(SEARCH_BYTES.saturating_add(max_entries.saturating_mul(DIRECTORY_BYTES_AN_ENTRY))));
        let metered = Metered { file: BufReader::new(file), left: Arc::clone(&left) };
        let archive = ZipArchive::new(metered).map_err(unreadable)?;
        left.store(u64::MAX, Ordering::Relaxed);
        if archive.has_duplicate_names() {
            return Err(invalid("the ZIP file has two entries of one name"));
        }
        let unpacked: u64 = (0..archive.len())
            .map(|index| archive.by_index_data(index).map_or(0, |entry| entry.size()))
            .fold(0, u64::saturating_add);
        if unpacked > bytes.saturating_mul(MAX_RATIO).max(SMALL_BYTES) {
            let message = format!("the ZIP file of {bytes} bytes unpacks to {unpacked}");
            return Err(Error::new(ErrorKind::TooLarge, message).with_code("zip_bomb"));
        }
        Ok(Self(Arc::new(Mutex::new(archive))))
    }

    /// Errors where entries share bytes: `Invalid` `invalid_zip`. Reads the head of every entry. Blocks.
    pub fn require_apart(&self) -> Result<()> {
        let mut archive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if archive.has_overlapping_files().map_err(unreadable)? {
            return Err(invalid("entries of the ZIP file overlap"));
        }
        Ok(())
    }

    /// What may be photos: no folders, and nothing that a system puts there for itself. What cannot be used is among them,
    /// and says why when it is read.
    pub fn entries(&self) -> Vec<Entry> {
        let archive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |index| {
            let entry = archive.by_index_data(index).ok()?;
            let name = entry.name().ok()?.replace('\\', "/");
            let is_hidden = |part: &str| part == "__MACOSX" || part.starts_with('.') && part != "." && part != "..";
            let modified = entry.last_modified().and_then(|time| time.try_into().ok());
            (!name.ends_with('/') && !name.split('/').any(is_hidden)).then_some(Entry { index, name, modified })
        };
        (0..archive.len()).filter_map(entry).collect()
    }

    /// One entry's bytes. The inner error is the entry's own fault.
    pub async fn read(&self, index: usize, max_bytes: u64) -> Result<Result<Bytes, Fault>> {
        let archive = self.clone();
        spawn_blocking(move || archive.unpack(index, max_bytes))
            .await
            .map_err(|lost| Error::internal("a photo was not unpacked").with_source(lost))
    }

    pub(super) fn unpack(&self, index: usize, max_bytes: u64) -> Result<Bytes, Fault> {
        let mut archive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = |_| fault("corrupt_entry", "this entry of the ZIP file cannot be unpacked".to_owned());
        let mut entry = archive.by_index(index).map_err(broken)?;
        let leads_out = |name: &str| name.split(['/', '\\']).any(|part| part == "..");
        if leads_out(&entry.name().map_err(broken)?) {
            return Err(fault("corrupt_entry", "the name of this entry leads out of the ZIP file".to_owned()));
        }
        let (size, packed) = (entry.size(), entry.compressed_size());
        if size > max_bytes {
            return Err(fault("image_too_large", format!("an image is at most {max_bytes} bytes")));
        }
        if size > packed.saturating_mul(MAX_PHOTO_RATIO) {
            return Err(fault("zip_bomb", format!("{packed} bytes unpack to {size}: this is no photo")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        // One byte more than it says shows that it lies.
        let read = entry.by_ref().take(size + 1).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 == size => Ok(bytes.into()),
            _ => Err(fault("corrupt_entry", "this entry of the ZIP file is not what it says".to_owned())),
        }
    }
}

/// How many entries the end of the directory says there are. A file with two such ends would be read by some as one
/// archive and by others as another, and memory is taken for as many as are announced.
fn num_entries(file: &mut File, bytes: u64) -> Result<u64> {
    let failed = |error: io::Error| invalid("the ZIP file cannot be read").with_source(error);
    let tail_bytes = bytes.min((END_BYTES + END.len() + MAX_COMMENT_BYTES) as u64);
    let tail_start = bytes - tail_bytes;
    let mut tail = vec![0; tail_bytes as usize];
    file.seek(SeekFrom::Start(tail_start)).map_err(failed)?;
    file.read_exact(&mut tail).map_err(failed)?;
    let mut ends = (0..tail.len()).filter(|&at| tail[at..].starts_with(END));
    let end = ends.next().ok_or_else(|| invalid("this is no ZIP file"))?;
    if ends.next().is_some() {
        return Err(invalid("the ZIP file ends twice, as one does that holds another: unpack that first"));
    }
    let entries = number(&tail[end..], 10, 2).ok_or_else(|| invalid("the ZIP file is cut off"))?;
    let (size, offset) = (number(&tail[end..], 12, 4), number(&tail[end..], 16, 4));
    let may_be_64 = entries == 0xffff || [size, offset].contains(&Some(0xffff_ffff));
    let Some(locator_at) = (tail_start + end as u64).checked_sub(LOCATOR_BYTES).filter(|_| may_be_64) else {
        return Ok(entries);
    };
    let mut locator = [0; LOCATOR_BYTES as usize];
    file.seek(SeekFrom::Start(locator_at)).map_err(failed)?;
    file.read_exact(&mut locator).map_err(failed)?;
    if !locator.starts_with(LOCATOR_64) {
        return Ok(entries);
    }
    let mut end = [0; 56];
    file.seek(SeekFrom::Start(number(&locator, 8, 8).unwrap_or(u64::MAX))).map_err(failed)?;
    file.read_exact(&mut end).map_err(failed)?;
    let is_whole = number(&locator, 8, 8)
        .zip(number(&end, 4, 8))
        .is_some_and(|(at, size)| at.checked_add(12).and_then(|sum| sum.checked_add(size)) == Some(locator_at));
    match number(&end, 32, 8) {
        Some(entries) if end.starts_with(END_64) && is_whole => Ok(entries),
        _ => Err(invalid("the ZIP file's directory cannot be read")),
    }
}

/// A little-endian number of `width` bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..width)?.copy_from_slice(bytes.get(at..at + width)?);
    Some(u64::from_le_bytes(wide))
}

fn unreadable(error: ZipError) -> Error {
    invalid("the ZIP file cannot be read").with_source(error)
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(message).with_code("invalid_zip")
}

fn fault(code: &str, message: String) -> Fault {
    Fault { code: code.to_owned(), message }
}

/// Gives no more bytes than are left: while the directory is read, all of which is kept.
struct Metered {
    file: BufReader<File>,
    left: Arc<AtomicU64>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let take = |left: u64| left.checked_sub(if left == u64::MAX { 0 } else { read as u64 });
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| io::Error::other("the directory is too large"))?;
        Ok(read)
    }
}

impl Seek for Metered {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}
