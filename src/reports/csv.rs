//! Tables as CSV (RFC 4180), with words for statuses. Every CSV of the server is written by [`Csv`].

use std::io;

use csv::{Writer, WriterBuilder};

use super::{
    By, ReportSession,
    lines::{Line, Value, columns, is_formula},
};
use crate::{
    domain::Status,
    error::{Error, Result},
};

/// A part of a CSV file in the making. No text in it is taken for a formula by whatever opens it.
pub struct Csv(Writer<Vec<u8>>);

impl Csv {
    /// Nothing yet.
    #[expect(clippy::disallowed_methods, reason = "here texts are kept from being formulas")]
    pub fn new() -> Self {
        Self(WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new()))
    }

    /// Adds a line.
    pub fn line<'a>(&mut self, cells: impl IntoIterator<Item = Value<'a>>) -> Result<()> {
        for cell in cells {
            self.0.write_field(field(&cell)).map_err(unwritten)?;
        }
        self.0.write_record(None::<&[u8]>).map_err(unwritten)
    }

    /// What was added.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().map_err(|error| unwritten(error.into_error()))
    }
}

impl Default for Csv {
    fn default() -> Self {
        Self::new()
    }
}

/// The line of names.
pub fn head(by: By, sessions: &[ReportSession]) -> Result<Vec<u8>> {
    let names = columns(by).into_iter().map(|name| Value::Text(name.into()));
    let sessions = if by == By::Matrix { sessions } else { &[] };
    let starts = sessions
        .iter()
        .map(|session| Value::Text(format!("{} {}", session.local_start.strftime("%F %R"), session.group).into()));
    let mut csv = Csv::new();
    csv.line(names.chain(starts))?;
    csv.finish()
}

/// Lines.
pub fn lines(lines: &[Line]) -> Result<Vec<u8>> {
    let mut csv = Csv::new();
    for line in lines {
        let word = |status: &Option<Status>| status.map_or(Value::Nothing, |status| Value::Text(status.code().into()));
        csv.line(line.cells().into_iter().chain(line.statuses().iter().map(word)))?;
    }
    csv.finish()
}

fn field(value: &Value<'_>) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Text(text) => plain(text),
        Value::Count(count) => count.to_string(),
        Value::Share(share) => share.to_string(),
        Value::Similarity(similarity) => format!("{similarity:.3}"),
        Value::Day(date) => date.to_string(),
        Value::Moment(moment) => moment.strftime("%F %R").to_string(),
    }
}

/// A text in which nothing begins that could be taken for a formula, neither in front nor behind a semicolon or a tab:
/// where those part the cells, spreadsheets look for them also within a cell of ours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for part in text.split_inclusive([';', '\t']) {
        if is_formula(part) {
            plain.push('\'');
        }
        plain.push_str(part);
    }
    plain
}

fn unwritten(error: impl Into<io::Error>) -> Error {
    Error::internal("the table could not be written").with_source(error.into())
}
