//! Tables as workbooks, with real dates and numbers, to be printed on A4. Rows go to a temporary file as they come.

use std::{fs::File, io::Seek, path::Path};

use jiff::civil::DateTime;
use rust_xlsxwriter::{ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};

use super::{
    By, ReportSession,
    caption::Caption,
    lines::{Line, Value, headings, id_columns, is_formula},
    words::{letter, meaning},
};
use crate::{
    domain::Status,
    error::{Error, ErrorKind, Result},
};

/// Excel's own limit.
const MAX_ROWS: u32 = 1_048_576;
/// Where the headings are: below the title, what it is of, and an empty row.
const HEAD: u32 = 3;
/// Excel's number of the paper.
const A4: u8 = 9;
/// So many sessions of a register fit on the width of a page.
const SESSIONS_A_PAGE: usize = 40;

/// A workbook in the making.
pub struct Sheet {
    workbook: Workbook,
    formats: Formats,
    row: u32,
}

struct Formats {
    plain: Format,
    /// Texts stay texts when somebody edits them.
    quoted: Format,
    share: Format,
    day: Format,
    moment: Format,
    status: Format,
}

impl Sheet {
    /// An empty table; its temporary file lies in `folder` and has no name there.
    ///
    /// # Errors
    /// `Internal` if the file cannot be made.
    pub fn create(by: By, caption: &Caption, sessions: &[ReportSession], folder: &Path) -> Result<Self> {
        let mut workbook = Workbook::new();
        workbook.set_tempdir(folder).map_err(unwritten)?;
        let sessions = if by == By::Matrix { sessions } else { &[] };
        // In a matrix the starts of the sessions, and below what they are about.
        let row = HEAD + if by == By::Matrix { 2 } else { 1 };
        let sheet = workbook.add_worksheet_with_constant_memory().map_err(unwritten)?;
        set_page(sheet, by, sessions.len(), row).map_err(unwritten)?;
        write_caption(sheet, caption).map_err(unwritten)?;
        write_headings(sheet, by, sessions).map_err(unwritten)?;
        let formats = Formats {
            plain: Format::new(),
            quoted: Format::new().set_quote_prefix(),
            share: Format::new().set_num_format("0.0%"),
            day: Format::new().set_num_format("yyyy-mm-dd"),
            moment: Format::new().set_num_format("yyyy-mm-dd hh:mm"),
            status: Format::new().set_align(FormatAlign::Center),
        };
        Ok(Self { workbook, formats, row })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// `Internal` if the disk is full; `Unprocessable` `report_too_large` for more lines than a sheet can have.
    pub fn add(&mut self, line: &Line) -> Result<()> {
        let Self { workbook, formats, row } = self;
        if *row >= MAX_ROWS {
            let message = "a workbook has at most 1048576 rows: ask for CSV";
            return Err(Error::new(ErrorKind::Unprocessable, message).with_code("report_too_large"));
        }
        let sheet = workbook.worksheet_from_index(0).map_err(unwritten)?;
        write(sheet, *row, line, formats).map_err(unwritten)?;
        *row += 1;
        Ok(())
    }

    /// The whole workbook, as a file in `folder` that has no name there, from its start.
    ///
    /// # Errors
    /// `Internal` if the disk is full.
    pub fn finish(mut self, folder: &Path) -> Result<File> {
        legend(self.workbook.add_worksheet()).map_err(unwritten)?;
        let failed = |error| Error::internal("the workbook could not be written").with_source(error);
        let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
        self.workbook.save_to_writer(&file).map_err(unwritten)?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }
}

/// Paper, and what stays where it is: the headings, and the columns that say of what a line is.
fn set_page(sheet: &mut Worksheet, by: By, sessions: usize, head_rows: u32) -> Result<(), XlsxError> {
    let ids = id_columns(by) as u16;
    sheet.set_name("Attendance")?;
    sheet.set_freeze_panes(head_rows, ids)?;
    sheet.set_column_range_width(0, ids - 1, 20)?;
    sheet.set_paper_size(A4).set_landscape();
    sheet.set_print_fit_to_pages(sessions.div_ceil(SESSIONS_A_PAGE).max(1) as u16, 0);
    sheet.set_repeat_rows(HEAD, head_rows - 1)?;
    sheet.set_repeat_columns(0, ids - 1)?;
    sheet.set_footer("&R&P / &N");
    Ok(())
}

fn write_caption(sheet: &mut Worksheet, caption: &Caption) -> Result<(), XlsxError> {
    sheet.write_string_with_format(0, 0, &caption.title, &Format::new().set_bold().set_font_size(16))?;
    write_text(sheet, (1, 0), &caption.of, Format::new())
}

fn write_headings(sheet: &mut Worksheet, by: By, sessions: &[ReportSession]) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold().set_text_wrap().set_align(FormatAlign::Top);
    let start = Format::new().set_bold().set_num_format("yyyy-mm-dd hh:mm").set_rotation(90);
    let names = headings(by);
    for (column, name) in names.iter().enumerate() {
        sheet.write_string_with_format(HEAD, column as u16, *name, &bold)?;
    }
    for (place, session) in sessions.iter().enumerate() {
        let column = (names.len() + place) as u16;
        sheet.set_column_width(column, 3.5)?;
        write_moment(sheet, (HEAD, column), session.local_start, &start)?;
    }
    for (place, session) in sessions.iter().enumerate() {
        let upright = Format::new().set_bold().set_rotation(90);
        let about = session.title.as_deref().unwrap_or(&session.group_name);
        write_text(sheet, (HEAD + 1, (names.len() + place) as u16), about, upright)?;
    }
    Ok(())
}

/// A text that stays one when somebody edits it.
fn write_text(sheet: &mut Worksheet, (row, column): (u32, u16), text: &str, format: Format) -> Result<(), XlsxError> {
    let format = if is_formula(text) { format.set_quote_prefix() } else { format };
    sheet.write_string_with_format(row, column, text, &format)?;
    Ok(())
}

fn write(sheet: &mut Worksheet, row: u32, line: &Line, formats: &Formats) -> Result<(), XlsxError> {
    let mut column = 0;
    for value in line.cells() {
        match value {
            Value::Nothing => {}
            Value::Text(text) => {
                let format = if is_formula(&text) { &formats.quoted } else { &formats.plain };
                sheet.write_string_with_format(row, column, text, format)?;
            }
            Value::Count(count) => {
                sheet.write_number(row, column, count as f64)?;
            }
            Value::Similarity(similarity) => {
                sheet.write_number(row, column, similarity)?;
            }
            Value::Share(share) => {
                sheet.write_number_with_format(row, column, share, &formats.share)?;
            }
            Value::Day(date) => write_moment(sheet, (row, column), date.at(0, 0, 0, 0), &formats.day)?,
            Value::Moment(at) => write_moment(sheet, (row, column), at, &formats.moment)?,
        }
        column += 1;
    }
    for status in line.statuses() {
        if let Some(status) = status {
            sheet.write_string_with_format(row, column, letter(*status), &formats.status)?;
        }
        column += 1;
    }
    Ok(())
}

/// What the letters of a matrix mean.
fn legend(sheet: &mut Worksheet) -> Result<(), XlsxError> {
    sheet.set_name("Legend")?;
    for (row, status) in Status::ALL.into_iter().enumerate() {
        sheet.write_string(row as u32, 0, letter(status))?;
        sheet.write_string(row as u32, 1, meaning(status))?;
    }
    Ok(())
}

/// Writes a date and time; as text before 1900, where the dates of workbooks begin.
fn write_moment(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    at: DateTime,
    format: &Format,
) -> Result<(), XlsxError> {
    let day = ExcelDateTime::from_ymd(at.year() as u16, at.month() as u8, at.day() as u8);
    match day.and_then(|day| day.and_hms(at.hour() as u16, at.minute() as u8, at.second() as u8)) {
        Ok(moment) => sheet.write_datetime_with_format(row, column, moment, format)?,
        Err(_) => sheet.write_string(row, column, at.to_string())?,
    };
    Ok(())
}

fn unwritten(error: XlsxError) -> Error {
    Error::internal("the workbook could not be written").with_source(error)
}
