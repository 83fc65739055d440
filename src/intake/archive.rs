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
use jiff::{SignedDuration, Timestamp, civil::DateTime};
use zip::{ExtraField, ZipArchive, read::ZipFile, result::ZipError};

use crate::{
    domain::{jobs::Fault, people::words::composed},
    error::{Error, ErrorKind, Result},
    runtime::spawn_blocking,
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
    /// Its name with its folders, parted by slashes, in one form of Unicode.
    pub name: String,
    /// When it was changed last.
    pub modified: Option<FileTime>,
}

/// When a file was changed last, as a ZIP file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTime {
    /// By a clock in a zone that nobody knows.
    Clock(DateTime),
    /// By the world's time.
    Instant(Timestamp),
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

    /// Whether all of it unpacks to no more than `max_bytes`, whatever it says. Errors: `Invalid` `invalid_zip`. Blocks.
    pub fn unpacks_within(&self, max_bytes: u64) -> Result<bool> {
        let mut archive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = max_bytes;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(unreadable)?;
            let unpacked = io::copy(&mut entry.take(left + 1), &mut io::sink());
            let unpacked = unpacked.map_err(|error| unreadable(ZipError::Io(error)))?;
            let Some(rest) = left.checked_sub(unpacked) else { return Ok(false) };
            left = rest;
        }
        Ok(true)
    }

    /// What may be photos: no folders, and nothing that a system puts there for itself. What cannot be used is among
    /// them, and says why when it is read.
    pub fn entries(&self) -> Vec<Entry> {
        let mut archive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = archive.len();
        let entry = |index| {
            // Only a whole head has it.
            let instant = archive.by_index_raw(index).ok().and_then(|entry| instant(&entry));
            let entry = archive.by_index_data(index).ok()?;
            let name = composed(&entry.name().ok()?.replace('\\', "/")).into_owned();
            let is_hidden = |part: &str| part == "__MACOSX" || part.starts_with('.') && part != "." && part != "..";
            let clock = || entry.last_modified().and_then(|time| time.try_into().ok());
            let modified = instant.map(FileTime::Instant).or_else(|| clock().map(FileTime::Clock));
            (!name.ends_with('/') && !name.split('/').any(is_hidden)).then_some(Entry { index, name, modified })
        };
        (0..length).filter_map(entry).collect()
    }

    /// One entry's bytes. The inner error is the entry's own fault.
    pub async fn read(&self, index: usize, max_bytes: u64) -> Result<Result<Bytes, Fault>> {
        let archive = self.clone();
        spawn_blocking(move || archive.unpack(index, max_bytes))
            .await
            .map_err(|lost| Error::internal("a photo was not unpacked").with_source(lost))
    }

    pub(crate) fn unpack(&self, index: usize, max_bytes: u64) -> Result<Bytes, Fault> {
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

/// The world's time at which an entry was changed last, as tools of Unix and Windows write it beside that of a clock.
fn instant<R: Read>(entry: &ZipFile<'_, R>) -> Option<Timestamp> {
    /// 1601-01-01, from which Windows counts tenths of microseconds.
    const WINDOWS_EPOCH: Timestamp = Timestamp::constant(-11_644_473_600, 0);
    entry.extra_data_fields().find_map(|field| match field {
        // Of 32 bits, which Unix reads with a sign.
        ExtraField::ExtendedTimestamp(times) => Timestamp::from_second((times.mod_time()? as i32).into()).ok(),
        ExtraField::Ntfs(times) => {
            let since = SignedDuration::from_nanos_i128(i128::from(times.mtime()) * 100);
            WINDOWS_EPOCH.checked_add(since).ok()
        }
        _ => None,
    })
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

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::{ZipWriter, write::FullFileOptions};

    use super::*;

    /// When the only entry of a ZIP file was changed, with a field beside its clock's 08:15.
    fn modified(field: Option<(u16, &[u8])>) -> Option<FileTime> {
        let clock = jiff::civil::date(2026, 11, 26).at(8, 15, 0, 0);
        let mut options = FullFileOptions::default().last_modified_time(clock.try_into().unwrap());
        if let Some((id, data)) = field {
            options.add_extra_field(id, data, false).unwrap();
        }
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("photo.jpg", options).unwrap();
        zip.write_all(b"photo").unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(zip.finish().unwrap().get_ref()).unwrap();
        Archive::open(file.path(), 1).unwrap().entries().remove(0).modified
    }

    #[test]
    fn an_instant_beside_the_clock_is_what_counts() {
        let at: Timestamp = "2026-11-26T08:15:00Z".parse().unwrap();
        let clock = FileTime::Clock(jiff::civil::date(2026, 11, 26).at(8, 15, 0, 0));
        let unix = [&[1][..], &(at.as_second() as u32).to_le_bytes()].concat();
        let tenths = (at.as_second() + 11_644_473_600) as u64 * 10_000_000;
        let windows = [&[0, 0, 0, 0, 1, 0, 24, 0][..], &tenths.to_le_bytes(), &[0; 16]].concat();
        assert_eq!(modified(None), Some(clock));
        assert_eq!(modified(Some((0x5455, &unix))), Some(FileTime::Instant(at)));
        assert_eq!(modified(Some((0x000A, &windows))), Some(FileTime::Instant(at)));
        assert_eq!(modified(Some((0xBEEF, &unix))), Some(clock), "another's field");
    }
}
