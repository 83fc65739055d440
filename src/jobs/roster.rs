//! People as CSV: a header, then a row a person.
//!
//! The columns `id`, `name`, `email` and `groups` are known, whatever their case; every further one with a name is an
//! entry of the metadata. The header says by its commas or semicolons what parts the fields.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord, Terminator};

use crate::{
    domain::job::Fault,
    error::{Error, Result},
};

/// The most bytes of a row: one quote that is never closed would take the whole file.
const MAX_ROW_BYTES: usize = 256 * 1024;
/// The most columns.
const MAX_COLUMNS: usize = 256;
/// Between the groups in their field.
const GROUP_SEPARATORS: [char; 2] = [';', '|'];
const BOM: &[u8] = b"\xef\xbb\xbf";

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
    /// What else is known of them.
    pub metadata: Vec<(String, String)>,
    /// What is wrong with the row as such.
    pub fault: Option<Fault>,
}

/// What a column holds.
enum Column {
    Id,
    Name,
    Email,
    Groups,
    Metadata(String),
    /// It has no name.
    Ignored,
}

/// The rows of a file, one after the other; blank ones are passed over.
pub struct Roster<R: Read> {
    records: Reader<Frugal<R>>,
    columns: Vec<Column>,
    allowance: Arc<AtomicUsize>,
    rows_read: u64,
}

impl<R: Read> Roster<R> {
    /// Reads the header. Errors: `Invalid` `invalid_csv`.
    pub fn open(file: R) -> Result<Self> {
        let mut file = BufReader::with_capacity(MAX_ROW_BYTES, file);
        let start = file.fill_buf().map_err(|error| invalid("the file cannot be read").with_source(error))?;
        let (bom_bytes, delimiter) = (if start.starts_with(BOM) { BOM.len() } else { 0 }, delimiter(start));
        file.consume(bom_bytes);
        let allowance = Arc::new(AtomicUsize::new(MAX_ROW_BYTES));
        let file = Frugal { file, allowance: Arc::clone(&allowance) };
        // A return before the line's end is trimmed with the field; were it a part of the end, lines would be miscounted.
        let line_end = Terminator::Any(b'\n');
        let mut records =
            ReaderBuilder::new().delimiter(delimiter).terminator(line_end).flexible(true).from_reader(file);
        let header = records.byte_headers().map_err(|error| unreadable(1, &error))?.clone();
        let header = text(header, 1)?;
        Ok(Self { records, columns: columns(&header)?, allowance, rows_read: 0 })
    }

    /// How many rows were read by now: the number of the next.
    pub fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// The next row. Errors: `Invalid` `invalid_csv`, naming the line, where the file is no CSV in UTF-8 from there on.
    fn read(&mut self) -> Result<Option<RosterRow>> {
        let mut record = ByteRecord::new();
        loop {
            self.allowance.store(MAX_ROW_BYTES, Relaxed);
            let next = self.records.position().line();
            if !self.records.read_byte_record(&mut record).map_err(|error| unreadable(next, &error))? {
                return Ok(None);
            }
            if record.iter().any(|field| !field.trim_ascii().is_empty()) {
                let line = record.position().map_or(0, csv::Position::line);
                let record = text(record, line)?;
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
        for (column, field) in self.columns.iter().zip(record) {
            let field = field.trim();
            if field.is_empty() {
                continue;
            }
            match column {
                Column::Id => field.clone_into(&mut row.id),
                Column::Name => row.name = Some(field.to_owned()),
                Column::Email => row.email = Some(field.to_owned()),
                Column::Groups => {
                    let groups = field.split(GROUP_SEPARATORS).map(str::trim).filter(|group| !group.is_empty());
                    row.groups = groups.map(str::to_owned).collect();
                }
                Column::Metadata(key) => row.metadata.push((key.clone(), field.to_owned())),
                Column::Ignored => {}
            }
        }
        row
    }
}

impl<R: Read> Iterator for Roster<R> {
    type Item = Result<RosterRow>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The more frequent of comma and semicolon in the first line, outside of quotes.
fn delimiter(start: &[u8]) -> u8 {
    let (mut is_quoted, mut commas, mut semicolons) = (false, 0, 0);
    for byte in start {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            b',' if !is_quoted => commas += 1,
            b';' if !is_quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

fn columns(header: &StringRecord) -> Result<Vec<Column>> {
    if header.len() > MAX_COLUMNS {
        return Err(invalid(format!("the header has {} columns, at most {MAX_COLUMNS} can be read", header.len())));
    }
    let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let columns = names.iter().map(|name| match name.to_ascii_lowercase().as_str() {
        "" => Column::Ignored,
        "id" => Column::Id,
        "name" => Column::Name,
        "email" => Column::Email,
        "groups" => Column::Groups,
        _ => Column::Metadata(name.clone()),
    });
    let columns: Vec<Column> = columns.collect();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if names[..index].iter().any(|earlier| earlier.eq_ignore_ascii_case(name)) {
            return Err(invalid(format!("the header names {name:.64} twice")));
        }
    }
    if !columns.iter().any(|column| matches!(column, Column::Id)) {
        return Err(invalid("the first line is a header and names a column id, and name for new people"));
    }
    Ok(columns)
}

fn text(record: ByteRecord, line: u64) -> Result<StringRecord> {
    StringRecord::from_byte_record(record).map_err(|_| invalid(format!("line {line} is not UTF-8")))
}

fn unreadable(line: u64, error: &csv::Error) -> Error {
    invalid(format!("the file cannot be read from line {line} on: {error}"))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(message).with_code("invalid_csv")
}

/// Gives no more than its allowance, which is renewed for each row.
struct Frugal<R> {
    file: BufReader<R>,
    allowance: Arc<AtomicUsize>,
}

impl<R: Read> Read for Frugal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Relaxed);
        if left == 0 {
            return Err(io::Error::other(format!("a row has more than {MAX_ROW_BYTES} bytes")));
        }
        let room = buffer.len().min(left);
        let read = self.file.read(&mut buffer[..room])?;
        self.allowance.store(left - read, Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(file: &[u8]) -> Result<Vec<RosterRow>> {
        Roster::open(file)?.collect()
    }

    #[test]
    fn a_bom_and_semicolons_make_no_difference() {
        let expected = [RosterRow {
            line: 2,
            id: "ada".into(),
            name: Some("Lovelace, Ada".into()),
            email: Some("ada@x".into()),
            groups: vec!["a".into(), "b c".into()],
            metadata: vec![("Seat No".into(), "7".into())],
            fault: None,
        }];
        for file in [
            "id,name,email,groups,Seat No\nada,\"Lovelace, Ada\",ada@x,a;b c,7\n",
            "\u{feff}ID;Name;Email;Groups;Seat No\r\n ada ;Lovelace, Ada;ada@x;a| b c|;7\r\n;;;;\r\n",
            "\u{feff}\"id\",name,email,groups,Seat No,\nada,\"Lovelace, Ada\",ada@x,a|b c,7,\n\n",
        ] {
            assert_eq!(rows(file.as_bytes()).unwrap(), expected, "{file}");
        }
    }

    #[test]
    fn what_is_no_roster_is_refused_with_the_line() {
        let endless = format!("id,name\n1,a\n2,\"{}", "x".repeat(3 * MAX_ROW_BYTES));
        for (file, said) in [
            (&b""[..], "column id"),
            (b"name\nx\n", "column id"),
            (b"id,seat,Seat\n1,2,3\n", "twice"),
            (b"id,name\n1,a\n2,\xff\n", "line 3 is not UTF-8"),
            (b"id,n\xffme\n", "line 1 is not UTF-8"),
            (endless.as_bytes(), "from line 3 on: a row has more than"),
            (&endless.as_bytes()["id,name\n1,a\n2,".len()..], "from line 1 on: a row has more than"),
        ] {
            let error = rows(file).unwrap_err();
            assert_eq!(error.code(), "invalid_csv");
            assert!(error.message().contains(said), "{}", error.message());
        }
    }

    #[test]
    fn a_row_of_another_length_is_a_fault_of_that_row() {
        let rows = rows("id,name\n1\n2,b\n3,c,d\n\"4\n\",\u{202e}אדה 👩🏽‍🚀\n".as_bytes()).unwrap();
        assert_eq!(rows, self::rows("id,name\r\n1\r\n2,b\r\n3,c,d\r\n\"4\n\",\u{202e}אדה 👩🏽‍🚀\r\n".as_bytes()).unwrap());
        let faulty: Vec<bool> = rows.iter().map(|row| row.fault.is_some()).collect();
        assert_eq!(faulty, [true, false, true, false]);
        assert_eq!((rows[3].line, rows[3].id.as_str()), (5, "4"));
        assert_eq!(rows[3].name.as_deref(), Some("\u{202e}אדה 👩🏽‍🚀"));
    }
}
