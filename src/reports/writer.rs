//! A report in the making, in any of its formats.

use std::{fs::File, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    By, Period, PersonRow, ReportSession, caption::Caption, csv, json, lines::Line, sorted::Sorter, svg::Chart,
    tables::Table, xlsx::Sheet,
};
use crate::error::Result;

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One document.
    #[default]
    Json,
    /// A line of names, then the rows; RFC 4180.
    Csv,
    /// A workbook of Excel.
    Xlsx,
    /// A picture.
    Svg,
}

impl Format {
    /// Whether it is a file of rows, to be kept elsewhere.
    pub const fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Xlsx)
    }
}

/// What a report is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of what its lines are.
    pub by: By,
    /// How it is written.
    pub format: Format,
    /// The dates that it is of.
    pub period: Period,
    /// Only people who attended less than this of what counts for them, 0 to 1.
    pub below: Option<f64>,
    /// Where a workbook's temporary files lie, and its people until they are sorted.
    pub folder: PathBuf,
}

/// Turns people into the bytes of a report. What it holds grows with the sessions, not with the people, of whom a workbook
/// holds the names alone.
pub struct Writer {
    table: Table,
    output: Output,
    folder: PathBuf,
}

enum Output {
    Json { is_first: bool },
    Csv,
    Xlsx { sheet: Box<Sheet>, people: Sorter },
    Svg(Box<Chart>),
}

/// The end of a report.
pub enum Rest {
    /// What follows the bytes that were handed out.
    Bytes(Vec<u8>),
    /// The whole, from its start.
    File(File),
}

impl Writer {
    /// Begins a report over `sessions`, which are in the order of their starts; returns its first bytes too.
    ///
    /// # Errors
    /// `Internal` if a temporary file cannot be made.
    pub fn begin(wanted: Wanted, sessions: Arc<[ReportSession]>) -> Result<(Self, Vec<u8>)> {
        let Wanted { by, format, period, below, folder } = wanted;
        let caption = Caption::new(by, below, period, &sessions);
        let (output, head) = match format {
            Format::Json => (Output::Json { is_first: true }, json::head(by, period, &sessions)?),
            Format::Csv => (Output::Csv, csv::head(by, &sessions)?),
            Format::Xlsx => {
                let sheet = Box::new(Sheet::create(by, &caption, &sessions, &folder)?);
                (Output::Xlsx { sheet, people: Sorter::create(&folder)? }, Vec::new())
            }
            Format::Svg => {
                let chart = Chart::new(by, below, caption, Arc::clone(&sessions));
                (Output::Svg(Box::new(chart)), Vec::new())
            }
        };
        Ok((Self { table: Table::new(by, sessions, below), output, folder }, head))
    }

    /// Adds people, who come in one order throughout; returns the bytes that are ready.
    ///
    /// # Errors
    /// Those of [`Sorter::add`] and [`Chart::add`].
    pub fn add(&mut self, rows: Vec<PersonRow>) -> Result<Vec<u8>> {
        let lines = self.table.add(rows);
        self.output.add(&lines)
    }

    /// The end.
    ///
    /// # Errors
    /// Those of [`Sheet::add`] and [`Sheet::finish`].
    pub fn finish(self) -> Result<Rest> {
        let Self { table, mut output, folder } = self;
        let mut bytes = output.add(&table.finish())?;
        match output {
            Output::Json { .. } => bytes.extend_from_slice(json::END),
            Output::Csv => {}
            Output::Xlsx { mut sheet, people } => {
                for line in people.finish()? {
                    sheet.add(&Line::Person(line?))?;
                }
                return sheet.finish(&folder).map(Rest::File);
            }
            Output::Svg(chart) => bytes = chart.finish()?.into_bytes(),
        }
        Ok(Rest::Bytes(bytes))
    }
}

impl Output {
    fn add(&mut self, lines: &[Line]) -> Result<Vec<u8>> {
        match self {
            Self::Json { is_first } => {
                let bytes = json::lines(lines, *is_first)?;
                *is_first &= lines.is_empty();
                Ok(bytes)
            }
            Self::Csv => csv::lines(lines),
            Self::Xlsx { sheet, people } => {
                for line in lines {
                    match line {
                        Line::Person(line) => people.add(line)?,
                        Line::Session(_) | Line::Group(_) => sheet.add(line)?,
                    }
                }
                Ok(Vec::new())
            }
            Self::Svg(chart) => chart.add(lines).map(|()| Vec::new()),
        }
    }
}
