//! `rollcall bench reports`: a term's attendance of many people, made up, as each kind of report.

use std::{
    fs,
    io::{self, Write},
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use clap::Args;
use jiff::{ToSpan, civil::date, tz::TimeZone};
use serde::Serialize;

use super::{report, round};
use crate::{
    domain::{GroupSessionId, Status},
    error::{Error, Result},
    reports::{
        By, Cell, Period, PersonRow, ReportSession,
        writer::{Format, Rest, Wanted, Writer},
    },
};

/// People that come together, as from the store.
const BLOCK: usize = 500;
/// In ten sessions one is missed, one late, the others attended.
const TURNS: [(Status, u32); 10] = {
    let mut turns = [(Status::Present, 0); 10];
    turns[3] = (Status::Absent, 0);
    turns[7] = (Status::Late, 9);
    turns
};

#[derive(Debug, Args)]
pub(super) struct ReportsArgs {
    /// People on the roster.
    #[arg(long, default_value_t = 50_000)]
    people: usize,
    /// Sessions of the term.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    sessions: u16,
    /// Keeps the reports in this folder; otherwise they are written nowhere.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// What is printed of one report.
#[derive(Serialize)]
struct Line {
    by: By,
    format: Format,
    people: usize,
    sessions: u16,
    seconds: f64,
    bytes: u64,
    /// The most memory that the process had meanwhile, all told; null where the system does not say.
    peak_mib: Option<u64>,
}

pub(super) fn run(args: &ReportsArgs) -> Result<()> {
    let sessions = term(args.sessions)?;
    let all = [
        (By::Person, Format::Json),
        (By::Person, Format::Csv),
        (By::Matrix, Format::Json),
        (By::Matrix, Format::Csv),
        (By::Matrix, Format::Xlsx),
        (By::Session, Format::Json),
        (By::Session, Format::Svg),
        (By::Person, Format::Svg),
    ];
    for (by, format) in all {
        forget_peak();
        let started = Instant::now();
        let bytes = write(args, by, format, &sessions)?;
        let seconds = round(started.elapsed().as_secs_f64(), 2);
        let (people, sessions, peak_mib) = (args.people, args.sessions, peak_mib());
        report(&Line { by, format, people, sessions, seconds, bytes, peak_mib })?;
    }
    Ok(())
}

/// Sessions of one group, one a day.
fn term(sessions: u16) -> Result<Arc<[ReportSession]>> {
    let unusual = |error| Error::internal("a term has no such day").with_source(error);
    let session = |day: u16| {
        let local_start = date(2026, 1, 5).at(8 + (day % 9) as i8, 0, 0, 0).checked_add(i32::from(day).days());
        let local_start = local_start.map_err(unusual)?;
        let starts_at = local_start.to_zoned(TimeZone::UTC).map_err(unusual)?.timestamp();
        Ok(ReportSession {
            session: GroupSessionId::generate(),
            group: "term".parse()?,
            group_name: "A term".into(),
            title: None,
            date: local_start.date(),
            starts_at,
            local_start,
        })
    };
    (0..sessions).map(session).collect()
}

/// Writes one report; returns its length.
fn write(args: &ReportsArgs, by: By, format: Format, sessions: &Arc<[ReportSession]>) -> Result<u64> {
    let unwritable = |error| Error::storage("the report cannot be written").with_source(error);
    let mut out: Box<dyn Write> = match &args.keep {
        Some(folder) => Box::new(fs::File::create(folder.join(name(by, format))).map_err(unwritable)?),
        None => Box::new(io::sink()),
    };
    let period = Period { from: sessions[0].date, until: sessions[sessions.len() - 1].date };
    let wanted = Wanted { by, format, period, below: None, folder: std::env::temp_dir() };
    let (mut writer, head) = Writer::begin(wanted, Arc::clone(sessions))?;
    let mut length = head.len() as u64;
    out.write_all(&head).map_err(unwritable)?;
    for first in (0..args.people).step_by(BLOCK) {
        let bytes = writer.add(people(first..args.people.min(first + BLOCK), sessions.len())?)?;
        length += bytes.len() as u64;
        out.write_all(&bytes).map_err(unwritable)?;
    }
    match writer.finish()? {
        Rest::Bytes(bytes) => {
            out.write_all(&bytes).map_err(unwritable)?;
            Ok(length + bytes.len() as u64)
        }
        Rest::File(mut file) => io::copy(&mut file, &mut out).map_err(unwritable),
    }
}

fn people(places: Range<usize>, sessions: usize) -> Result<Vec<PersonRow>> {
    let cell = |place: usize| {
        let (status, late_minutes) = TURNS[place % TURNS.len()];
        Some(Cell { status, late_minutes })
    };
    let row = |place: usize| {
        Ok(PersonRow {
            person: format!("person-{place:06}").parse()?,
            name: Some(format!("Person {place} of the term")),
            cells: (0..sessions).map(|session| cell(place * 7 + session * 3)).collect(),
        })
    };
    places.map(row).collect()
}

fn name(by: By, format: Format) -> String {
    format!("{by:?}.{format:?}").to_lowercase()
}

/// Has the system count the most memory from now on.
fn forget_peak() {
    // Where it cannot, the peak is that of all reports until then.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn peak_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kib.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}
