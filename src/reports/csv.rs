//! Tables as CSV (RFC 4180), with words for statuses.

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

/// The line of names.
pub fn head(by: By, sessions: &[ReportSession]) -> Result<Vec<u8>> {
    let mut out = writer();
    let mut names: Vec<String> = columns(by).into_iter().map(str::to_owned).collect();
    if by == By::Matrix {
        // The date first: a name that begins with a digit is no formula, whatever the group is called.
        names.extend(
            sessions.iter().map(|session| format!("{} {}", session.local_start.strftime("%F %R"), session.group)),
        );
    }
    out.write_record(names).map_err(unwritten)?;
    bytes(out)
}

/// Lines.
pub fn lines(lines: &[Line]) -> Result<Vec<u8>> {
    let mut out = writer();
    for line in lines {
        for value in line.cells() {
            out.write_field(field(&value)).map_err(unwritten)?;
        }
        for status in line.statuses() {
            out.write_field(status.map_or("", Status::code)).map_err(unwritten)?;
        }
        out.write_record(None::<&[u8]>).map_err(unwritten)?;
    }
    bytes(out)
}

fn field(value: &Value<'_>) -> String {
    match value {
        Value::Nothing => String::new(),
        Value::Text(text) if is_formula(text) => format!("'{text}"),
        Value::Text(text) => text.to_string(),
        Value::Count(count) => count.to_string(),
        Value::Share(share) => share.to_string(),
        Value::Day(date) => date.to_string(),
        Value::Moment(moment) => moment.strftime("%F %R").to_string(),
    }
}

fn writer() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new())
}

fn bytes(writer: Writer<Vec<u8>>) -> Result<Vec<u8>> {
    writer.into_inner().map_err(|error| unwritten(error.into_error()))
}

fn unwritten(error: impl Into<io::Error>) -> Error {
    Error::internal("the report could not be written").with_source(error.into())
}
