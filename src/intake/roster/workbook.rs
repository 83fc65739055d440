//! A workbook's first sheet as CSV, a line a row of the sheet.
//!
//! calamine holds a workbook's texts in memory, and unpacks what a file says without asking how much it is. So a file is
//! unpacked once before calamine sees it, and nothing of that kept.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::{columns::MAX_COLUMNS, invalid};
use crate::{
    error::{Error, ErrorKind, Result},
    intake::archive::Archive,
    runtime::contain,
};

/// What the file of a workbook begins with, as that of any ZIP file does.
pub(super) const START: &[u8] = b"PK\x03\x04";

/// The most files in a workbook.
const MAX_PARTS: u64 = 1000;
/// As Excel has them.
const MAX_ROWS: usize = 1 << 20;
/// The most bytes that it unpacks to: 50 000 people with eight columns are some 26 MB. Texts take several times that in
/// memory.
const MAX_UNPACKED_BYTES: u64 = 32 << 20;
/// The most bytes of the sheet as CSV.
const MAX_SHEET_BYTES: usize = 16 << 20;

/// The first sheet that is to be seen. Errors: `Invalid` `invalid_csv` or `invalid_zip`; `TooLarge`
/// `workbook_too_large` or `too_many_entries`.
pub(super) fn csv(path: &Path) -> Result<Vec<u8>> {
    let archive = Archive::open(path, MAX_PARTS)?;
    archive.require_apart()?;
    if !archive.unpacks_within(MAX_UNPACKED_BYTES)? {
        return Err(too_large());
    }
    let file = File::open(path).map_err(|error| invalid("the workbook cannot be read").with_source(error))?;
    contain(|| sheet(BufReader::new(file))).unwrap_or_else(|site| {
        tracing::warn!(%site, "the reader of workbooks panicked");
        Err(invalid(UNREADABLE))
    })
}

fn sheet(file: impl Read + Seek) -> Result<Vec<u8>> {
    let mut workbook = Xlsx::new(file).map_err(unreadable)?;
    let is_seen =
        |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet;
    let first = workbook.sheets_metadata().iter().find(is_seen).map(|sheet| sheet.name.clone());
    let first = first.ok_or_else(|| invalid("the workbook has no sheet"))?;
    let mut cells = workbook.worksheet_cells_reader(&first).map_err(unreadable)?;
    let mut sheet = Sheet::default();
    while let Some(cell) = cells.next_cell().map_err(unreadable)? {
        let (row, column) = cell.get_position();
        sheet.go_to(row as usize)?;
        if sheet.is_beside(column as usize) {
            continue;
        }
        let Some(text) = text(cell.get_value()) else {
            return Err(invalid(format!("row {} of the sheet holds an error in column {}", row + 1, column + 1)));
        };
        if !text.trim().is_empty() {
            sheet.put(column as usize, text)?;
        }
    }
    Ok(sheet.end())
}

/// What a cell shows; none for an error. Numbers are shown as they are, whatever the format of their cell.
fn text(value: &DataRef<'_>) -> Option<String> {
    Some(match value {
        DataRef::Error(_) => return None,
        DataRef::Empty => String::new(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::DateTime(time) if time.is_duration() => time.as_f64().to_string(),
        DataRef::DateTime(time) => match time.to_ymd_hms_milli() {
            (year, month, day, 0, 0, 0, _) => format!("{year:04}-{month:02}-{day:02}"),
            (year, month, day, hour, minute, second, _) => {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            }
        },
    })
}

/// The rows so far.
#[derive(Default)]
struct Sheet {
    csv: Vec<u8>,
    /// The number of the row that is read, from 0: the lines of those before it have ended.
    number: usize,
    /// What it holds.
    row: Vec<String>,
    /// What its fields take, so that a row of many is not counted anew for each.
    row_bytes: usize,
    /// The fields of the header, which is the first row that is not blank: other rows have as many, as a sheet says
    /// nothing of cells that are blank, and what stands beside the table has no heading.
    num_columns: Option<usize>,
}

impl Sheet {
    /// Ends the rows before this one.
    fn go_to(&mut self, row: usize) -> Result<()> {
        let Some(further) = row.checked_sub(self.number).filter(|_| row < MAX_ROWS) else {
            return Err(invalid("the rows of the sheet are out of order, or too many"));
        };
        if further > 0 {
            self.end_row();
            self.csv.resize(self.csv.len() + further, b'\n');
            self.number = row;
        }
        Ok(())
    }

    /// Whether nothing is read of a column, as the header is over before it.
    fn is_beside(&self, column: usize) -> bool {
        self.num_columns.is_some_and(|columns| column >= columns)
    }

    /// Puts a text into the row.
    fn put(&mut self, column: usize, text: String) -> Result<()> {
        if column >= MAX_COLUMNS {
            return Err(invalid(format!("the header has more than {MAX_COLUMNS} columns")));
        }
        self.row_bytes += text.len();
        if self.csv.len() + self.row_bytes > MAX_SHEET_BYTES {
            return Err(too_large());
        }
        if self.row.len() <= column {
            self.row.resize(column + 1, String::new());
        }
        if !self.row[column].is_empty() {
            return Err(invalid(format!("row {} is twice in the sheet", self.number + 1)));
        }
        self.row[column] = text;
        Ok(())
    }

    /// Writes the row that was read, where it is not blank, without the end of its line.
    fn end_row(&mut self) {
        if self.row.is_empty() {
            return;
        }
        let columns = *self.num_columns.get_or_insert(self.row.len());
        self.row.resize(columns, String::new());
        for (column, field) in self.row.drain(..).enumerate() {
            // A line a row: where a row stands in the sheet is where it stands in the report.
            let field = field.replace('"', "\"\"").replace(['\r', '\n'], " ");
            self.csv.extend_from_slice(if column == 0 { b"\"" } else { b",\"" });
            self.csv.extend_from_slice(field.as_bytes());
            self.csv.push(b'"');
        }
        self.row_bytes = 0;
    }

    fn end(mut self) -> Vec<u8> {
        self.end_row();
        self.csv.push(b'\n');
        self.csv
    }
}

const UNREADABLE: &str = "this is no workbook that can be read: save it as .xlsx again, or its first sheet as CSV; photos go in the field photos";

fn unreadable(error: XlsxError) -> Error {
    invalid(UNREADABLE).with_source(error)
}

fn too_large() -> Error {
    let message = "the workbook is too large to be read: save its first sheet as CSV";
    Error::new(ErrorKind::TooLarge, message).with_code("workbook_too_large")
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet};
    use tempfile::NamedTempFile;
    use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::intake::roster::{Roster, RosterRow};

    /// A workbook of one sheet.
    fn saved(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
        let mut workbook = Workbook::new();
        fill(workbook.add_worksheet());
        workbook.save_to_buffer().unwrap()
    }

    fn rows(file: &[u8]) -> Result<Vec<RosterRow>> {
        let mut named = NamedTempFile::new().unwrap();
        named.write_all(file).unwrap();
        Roster::at(named.path())?.collect()
    }

    /// The workbook with one of its parts changed.
    fn rewritten(file: &[u8], part: &str, change: impl Fn(String) -> String) -> Vec<u8> {
        let mut archive = ZipArchive::new(Cursor::new(file)).unwrap();
        let mut changed = ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let (name, mut text) = (entry.name().unwrap().into_owned(), String::new());
            entry.read_to_string(&mut text).unwrap();
            changed.start_file(&name, SimpleFileOptions::default()).unwrap();
            let text = if name == part { change(text) } else { text };
            changed.write_all(text.as_bytes()).unwrap();
        }
        changed.finish().unwrap().into_inner()
    }

    #[test]
    fn the_cells_of_a_sheet_are_the_fields_of_its_rows() {
        let file = saved(|sheet| {
            // Nothing in the first row, a blank row between the people, a note beside the table.
            for (column, heading) in (0..).zip(["Matrikelnr", "Nachname", "Vorname", "on roster since", "Seat"]) {
                sheet.write(1, column, heading).unwrap();
            }
            let date = Format::new().set_num_format("dd.mm.yyyy");
            sheet.write(2, 0, 1_234_567).unwrap();
            sheet.write(2, 1, "Müller \"M\"").unwrap();
            sheet.write(2, 2, "Jörg").unwrap();
            let since = ExcelDateTime::from_ymd(2026, 9, 1).unwrap();
            sheet.write_datetime_with_format(2, 3, &since, &date).unwrap();
            sheet.write(2, 4, 7.5).unwrap();
            sheet.write(2, 8, "a note").unwrap();
            sheet.write(4, 0, "b2").unwrap();
            sheet.write(4, 1, "李,\r\n小明").unwrap();
        });
        let expected = [
            RosterRow {
                line: 3,
                id: "1234567".into(),
                name: Some("Jörg Müller \"M\"".into()),
                on_roster_since: Some("2026-09-01".into()),
                metadata: vec![("Seat".into(), "7.5".into())],
                ..RosterRow::default()
            },
            RosterRow { line: 5, id: "b2".into(), name: Some("李,  小明".into()), ..RosterRow::default() },
        ];
        assert_eq!(rows(&file).unwrap(), expected);
    }

    #[test]
    fn sheets_that_are_hidden_are_passed_over() {
        let mut workbook = Workbook::new();
        workbook.add_worksheet().set_name("Lists").unwrap().set_hidden(true).write(0, 0, "no heading").unwrap();
        let sheet = workbook.add_worksheet();
        sheet.set_active(true).write(0, 0, "id").unwrap();
        sheet.write(1, 0, "ada").unwrap();
        let rows = rows(&workbook.save_to_buffer().unwrap()).unwrap();
        assert_eq!(rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), ["ada"]);
    }

    #[test]
    fn what_is_no_roster_is_refused_with_words_that_help() {
        let good = saved(|sheet| {
            sheet.write(0, 0, "id").unwrap();
            sheet.write(0, 1, "name").unwrap();
            sheet.write(1, 0, "ada").unwrap();
        });
        let sheet = "xl/worksheets/sheet1.xml";
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("ada.jpg", SimpleFileOptions::default()).unwrap();
        let photos = zip.finish().unwrap().into_inner();
        let wide = saved(|sheet| {
            for column in 0..300 {
                sheet.write(0, column, format!("c{column}")).unwrap();
            }
        });
        let error = rewritten(&good, sheet, |text| {
            text.replace("</row></sheetData>", "<c r=\"B2\" t=\"e\"><v>#REF!</v></c></row></sheetData>")
        });
        let disordered = rewritten(&good, sheet, |text| text.replace("\"A1\"", "\"A9\""));
        let twice = rewritten(&good, sheet, |text| text.replace("\"A2\"", "\"A1\""));
        let far = rewritten(&good, sheet, |text| text.replace("\"A2\"", "\"A1048577\""));
        let beside = rewritten(&good, sheet, |text| {
            text.replace("</row></sheetData>", "<c r=\"H2\" t=\"e\"><v>#REF!</v></c></row></sheetData>")
        });
        assert_eq!(rows(&beside).unwrap()[0].id, "ada", "an error beside the table");
        for (what, file, code, said) in [
            ("photos", photos, "invalid_csv", "photos go in the field photos"),
            ("half of it", good[..good.len() / 2].to_vec(), "invalid_zip", "ZIP file"),
            ("no header", saved(|_| ()), "invalid_csv", "header"),
            ("many columns", wide, "invalid_csv", "256 columns"),
            ("an error in a cell", error, "invalid_csv", "row 2 of the sheet holds an error in column 2"),
            ("rows out of order", disordered, "invalid_csv", "out of order"),
            ("a row twice", twice, "invalid_csv", "row 1 is twice"),
            ("a row too far", far, "invalid_csv", "too many"),
        ] {
            let refused = rows(&file).expect_err(what);
            assert_eq!((refused.code(), refused.to_string().contains(said)), (code, true), "{what}: {refused}");
        }
    }

    #[test]
    fn a_small_file_that_becomes_much_is_refused() {
        let good = saved(|sheet| {
            sheet.write(0, 0, "id").unwrap();
        });
        let blanks = |text: String| text.replace("</sheetData>", &(" ".repeat(33 << 20) + "</sheetData>"));
        let bomb = rewritten(&good, "xl/worksheets/sheet1.xml", blanks);
        assert!(bomb.len() < 200_000, "{}", bomb.len());
        let refused = rows(&bomb).unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::TooLarge, "workbook_too_large"));
        // One text that many cells share is much only as CSV.
        let shared = saved(|sheet| {
            for row in 0..600 {
                sheet.write(row, 0, "x".repeat(30_000)).unwrap();
            }
        });
        assert_eq!(rows(&shared).unwrap_err().code(), "workbook_too_large");
    }
}
