//! People as CSV, or in the first sheet of a workbook: a header, then a row a person.
//!
//! [`workbook`] makes CSV of a sheet, [`text`] reads the file in any encoding, [`quotes`] refuses one whose quotes do
//! not close, and [`columns`] says by the headings what each column holds. What parts the fields is told by a first
//! line `sep=;`, as spreadsheets write it, or by the header.

pub(super) mod columns;
mod quotes;
mod text;
mod workbook;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Chain, Cursor, Read, Seek, SeekFrom},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord, Terminator};

use self::{columns::Columns, quotes::Quotes, text::Text};
use crate::{
    domain::jobs::Fault,
    error::{Error, Result},
};

/// The most bytes of a row: a file may be one row without end.
const MAX_ROW_BYTES: usize = 256 * 1024;
/// What may part fields; a comma where the header has none of them.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A row; what is blank is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterRow {
    /// Where it begins, from 1.
    pub line: u64,
    /// Who, as it stands there.
    pub id: String,
    /// Their name.
    pub name: Option<String>,
    /// Where they are reached.
    pub email: Option<String>,
    /// Their groups, as they stand there.
    pub groups: Vec<String>,
    /// Since when they are on the rosters of these, as it stands there.
    pub on_roster_since: Option<String>,
    /// Their consent.
    pub consent: RosterConsent,
    /// What else is known of them.
    pub metadata: Vec<(String, String)>,
    /// What is wrong with the row as such.
    pub fault: Option<Fault>,
}

/// What a row says of a consent, as it stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterConsent {
    /// Who gave it.
    pub given_by: Option<String>,
    /// When.
    pub at: Option<String>,
    /// On what ground.
    pub basis: Option<String>,
    /// When it ends.
    pub expires_at: Option<String>,
    /// Anything else.
    pub note: Option<String>,
}

/// What is left of a file: lines that were read already, and the rest.
type Lines<R> = Chain<Cursor<Vec<u8>>, Frugal<R>>;

/// The rows of a file, one after the other; blank ones are passed over.
pub struct Roster<R: Read> {
    records: Reader<Quotes<Lines<R>>>,
    columns: Columns,
    encoding: &'static str,
    /// Lines before the header.
    lines_before: u64,
    allowance: Arc<AtomicUsize>,
    rows_read: u64,
}

/// The file of a roster, or the sheet that was in it.
pub enum Source {
    /// CSV.
    File(File),
    /// As CSV.
    Sheet(Cursor<Vec<u8>>),
}

impl Roster<Source> {
    /// Opens a file, and reads the header. Blocks.
    ///
    /// # Errors
    /// `Invalid` `invalid_csv`, and of workbooks `invalid_zip`; `TooLarge` `workbook_too_large` or `too_many_entries`.
    pub fn at(path: &Path) -> Result<Self> {
        let missing = |error: io::Error| invalid("the roster cannot be read").with_source(error);
        let (mut file, mut start) = (File::open(path).map_err(missing)?, Vec::new());
        file.by_ref().take(workbook::START.len() as u64).read_to_end(&mut start).map_err(missing)?;
        if start != workbook::START {
            return Self::open(Source::File(file));
        }
        let sheet = Self::open(Source::Sheet(Cursor::new(workbook::csv(path)?)))?;
        Ok(Self { encoding: "xlsx", ..sheet })
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Sheet(sheet) => sheet.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(position),
            Self::Sheet(sheet) => sheet.seek(position),
        }
    }
}

impl<R: Read + Seek> Roster<R> {
    /// Reads the header. Errors: `Invalid` `invalid_csv`.
    pub fn open(file: R) -> Result<Self> {
        let text = Text::open(file).map_err(|error| unreadable(&error, 1))?;
        let encoding = text.encoding();
        let allowance = Arc::new(AtomicUsize::new(MAX_ROW_BYTES));
        let mut text = Frugal { text: BufReader::new(text), allowance: Arc::clone(&allowance) };
        let mut first = Vec::new();
        let announced = text.line(&mut first)?;
        let mut lines_before = 0;
        if announced.is_some() {
            lines_before = line_ends(&first);
            first.clear();
            text.line(&mut first)?;
        }
        let delimiter = announced.unwrap_or_else(|| delimiter(&first));
        let text = Quotes::new(Cursor::new(first).chain(text), delimiter, 1 + lines_before);
        let mut records = ReaderBuilder::new()
            .delimiter(delimiter)
            .terminator(Terminator::Any(b'\n'))
            .flexible(true)
            .from_reader(text);
        let header = records.byte_headers().map_err(|error| no_record(error, 1 + lines_before))?.clone();
        let columns = Columns::new(&string(header, 1 + lines_before)?)?;
        Ok(Self { records, columns, encoding, lines_before, allowance, rows_read: 0 })
    }
}

impl<R: Read> Roster<R> {
    /// How many rows were read by now: the number of the next.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// Each heading with what its column was taken for, in the order of the columns.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.columns.meanings()
    }

    /// The name of the file's encoding.
    pub fn encoding(&self) -> &'static str {
        self.encoding
    }

    /// The next row. Errors: `Invalid` `invalid_csv`, naming the line, where the file is no CSV from there on.
    fn read(&mut self) -> Result<Option<RosterRow>> {
        let mut record = ByteRecord::new();
        loop {
            self.allowance.store(MAX_ROW_BYTES, Relaxed);
            let next = self.records.position().line() + self.lines_before;
            if !self.records.read_byte_record(&mut record).map_err(|error| no_record(error, next))? {
                return Ok(None);
            }
            if record.iter().any(|field| !field.trim_ascii().is_empty()) {
                // Every line ends, and the reader stands behind the record's last.
                let lines = 1 + line_ends(record.as_slice());
                let line = self.records.position().line() + self.lines_before - lines;
                let record = string(record, line)?;
                self.rows_read += 1;
                return Ok(Some(self.row(line, &record)));
            }
        }
    }

    fn row(&self, line: u64, record: &StringRecord) -> RosterRow {
        let mut row = RosterRow { line, ..RosterRow::default() };
        if record.len() != self.columns.len() {
            let message = format!("the row has {} fields, the header has {}", record.len(), self.columns.len());
            row.fault = Some(Fault { code: "invalid_row".to_owned(), message });
        }
        self.columns.fill(&mut row, record);
        row
    }
}

impl<R: Read> Iterator for Roster<R> {
    type Item = Result<RosterRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// What a line `sep=;` says. Some write it as a field of its own, in quotes.
fn announced(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] if DELIMITERS.contains(delimiter) => Some(*delimiter),
        // The tab went with the end of the line.
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'='] => Some(b'\t'),
        _ => None,
    }
}

fn line_ends(text: &[u8]) -> u64 {
    text.split(|&byte| byte == b'\n').count() as u64 - 1
}

/// The most frequent of those that may part fields, outside of quotes.
fn delimiter(header: &[u8]) -> u8 {
    let (mut is_quoted, mut counts) = (false, [0; DELIMITERS.len()]);
    for byte in header {
        is_quoted ^= *byte == b'"';
        if let Some(index) = DELIMITERS.iter().position(|one| one == byte).filter(|_| !is_quoted) {
            counts[index] += 1;
        }
    }
    // Of those that are there equally often the first.
    let most = (0..DELIMITERS.len()).rev().max_by_key(|&index| counts[index]);
    DELIMITERS[most.unwrap_or_default()]
}

fn string(record: ByteRecord, line: u64) -> Result<StringRecord> {
    StringRecord::from_byte_record(record).map_err(|_| invalid(format!("line {line} is not UTF-8")))
}

fn no_record(error: csv::Error, line: u64) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unreadable(&error, line),
        error => invalid(format!("the file cannot be read from line {line} on: {error:?}")),
    }
}

fn unreadable(error: &io::Error, line: u64) -> Error {
    match text::broken(error) {
        Some(broken) => invalid(broken.to_string()),
        None => invalid(format!("the file cannot be read from line {line} on: {error}")),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(message).with_code("invalid_csv")
}

/// Gives no more than its allowance, which is renewed for each row.
struct Frugal<R> {
    text: BufReader<Text<R>>,
    allowance: Arc<AtomicUsize>,
}

impl<R: Read> Frugal<R> {
    /// Appends the next line that is not blank; what it announces as parting fields, where it does nothing else.
    fn line(&mut self, line: &mut Vec<u8>) -> Result<Option<u8>> {
        loop {
            let start = line.len();
            let room = MAX_ROW_BYTES.saturating_sub(start) as u64;
            let read = self.text.by_ref().take(room).read_until(b'\n', line);
            let is_over = read.map_err(|error| unreadable(&error, 1))? == 0;
            if is_over || !line[start..].trim_ascii().is_empty() {
                break;
            }
        }
        Ok(announced(line))
    }
}

impl<R: Read> Read for Frugal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Relaxed);
        if left == 0 {
            return Err(io::Error::other(format!("a row has more than {MAX_ROW_BYTES} bytes")));
        }
        let room = buffer.len().min(left);
        let read = self.text.read(&mut buffer[..room])?;
        self.allowance.store(left - read, Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
