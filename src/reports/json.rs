//! Tables as one JSON document, `{"by":…,"from":…,"until":…,"sessions":[…],"rows":[…]}`, in parts.

use serde::Serialize;
use utoipa::ToSchema;

use super::{By, Period, ReportSession, lines::Line};
use crate::error::{Error, Result};

/// A report. It is never held as a whole; this is what its parts make.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportView {
    /// Of what its rows are.
    pub by: By,
    /// The dates that it is of.
    #[serde(flatten)]
    pub period: Period,
    /// The sessions of a matrix, in the order of their starts; elsewhere there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<ReportSession>,
    /// People in the order of their enrolment, sessions by their starts, groups by their first sessions.
    pub rows: Vec<Line>,
}

/// The document up to its first row.
pub fn head(by: By, period: Period, sessions: &[ReportSession]) -> Result<Vec<u8>> {
    let sessions = if by == By::Matrix { sessions.to_vec() } else { Vec::new() };
    let mut head = written(&ReportView { by, period, sessions, rows: Vec::new() })?;
    // Without the end of the rows and of the document.
    head.truncate(head.len() - END.len());
    Ok(head)
}

/// Rows; `is_first` where none came before.
pub fn lines(lines: &[Line], is_first: bool) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        if place > 0 || !is_first {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, line).map_err(unwritten)?;
    }
    Ok(out)
}

/// The document after its last row.
pub const END: &[u8] = b"]}";

fn written(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(unwritten)
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::internal("the report could not be written").with_source(error)
}
