//! `rollcall enroll` of a roster: CSV or a workbook, and photos in a ZIP file or a folder.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use comfy_table::Table;
use tempfile::NamedTempFile;
use zip::{CompressionMethod, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::EnrollArgs;
use crate::{
    cli::{
        Common,
        door::Door,
        files::{listed, table},
        jobs::progress,
        say,
    },
    domain::{GroupId, RowOutcome},
    error::{Error, Result},
    intake::{Roster, columns},
    service::jobs::{ImportParams, RowView},
};

pub(super) fn run(common: &Common, args: &EnrollArgs) -> Result<()> {
    let settings = common.settings()?;
    if args.group.is_some() {
        return Err(Error::invalid("a roster names its groups in the column groups").with_code("invalid_flags"));
    }
    if args.new || args.into.is_some() {
        let message = "a roster says by its ids who is who: --new and --into go with a folder";
        return Err(Error::invalid(message).with_code("invalid_flags"));
    }
    let photos = args.photos.as_deref().map(Photos::of).transpose()?;
    let params = ImportParams {
        dry_run: Some(args.dry_run),
        create_groups: Some(args.create_groups),
        groups: args.groups,
        leavers: args.leavers,
        leavers_in: args.leavers_in,
        on_roster_since: args.on_roster_since,
        ..ImportParams::default()
    };
    actix::System::new().block_on(async {
        let door = Door::open(settings, &args.tenant).await?;
        let bar = progress("people");
        let rows = door.import(&args.source, photos.as_ref().map(Photos::path), &params, &bar).await;
        bar.finish_and_clear();
        let rows = rows?;
        summarise(&rows)?;
        say_metadata(&args.source)?;
        if !rows.is_empty() && rows.iter().all(|row| row.outcome == RowOutcome::Failed) {
            return Err(Error::invalid("nobody could be enrolled").with_code("nobody_enrolled"));
        }
        Ok(())
    })
}

/// A ZIP file: one that was given, or one made of a folder for the time being.
enum Photos {
    Given(PathBuf),
    Made(NamedTempFile),
}

impl Photos {
    fn of(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Ok(Self::Given(path.to_owned()));
        }
        let failed = |error: ZipError| Error::invalid("the photos cannot be put together").with_source(error);
        let made = NamedTempFile::new().map_err(|error| failed(error.into()))?;
        let mut archive = ZipWriter::new(made.reopen().map_err(|error| failed(error.into()))?);
        add_all(&mut archive, path, "").map_err(failed)?;
        archive.finish().map_err(failed)?;
        Ok(Self::Made(made))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Made(file) => file.path(),
        }
    }
}

/// Puts what lies in a folder into the archive, under `prefix`.
fn add_all(archive: &mut ZipWriter<File>, folder: &Path, prefix: &str) -> Result<(), ZipError> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for path in listed(folder).map_err(|error| ZipError::Io(io::Error::other(error)))? {
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            add_all(archive, &path, &format!("{name}/"))?;
        } else {
            archive.start_file(name, options)?;
            io::copy(&mut File::open(&path)?, archive)?;
        }
    }
    Ok(())
}

/// A table of the rows that are new, changed or failed, then the reason for each photo that was not used, then the sums.
fn summarise(rows: &[RowView]) -> Result<()> {
    let mut people: Table = table(&["line", "person", "result", "samples", "refused", "error"]);
    let mut sums: BTreeMap<RowOutcome, usize> = BTreeMap::new();
    for row in rows {
        *sums.entry(row.outcome).or_default() += 1;
        if row.outcome == RowOutcome::Unchanged {
            continue;
        }
        people.add_row([
            row.line.to_string(),
            id(row).to_owned(),
            row.outcome.name().to_owned(),
            row.samples_added.to_string(),
            row.refused.len().to_string(),
            row.error.as_ref().map(|fault| format!("{}: {}", fault.code, fault.message)).unwrap_or_default(),
        ]);
    }
    say(&people)?;
    for (row, photo) in rows.iter().flat_map(|row| row.refused.iter().map(move |photo| (row, photo))) {
        let file = called(photo.photo.as_deref(), photo.number);
        say(format_args!("{}: {file}: {}: {}", id(row), photo.reason, photo.message))?;
    }
    for (row, double) in rows.iter().flat_map(|row| row.duplicates.iter().map(move |double| (row, double))) {
        let file = called(double.photo.as_deref(), double.number);
        let (other, similarity) = (&double.person, double.similarity);
        say(format_args!("{}: {file}: duplicate_of: looks like {other} as well ({similarity:.2})", id(row)))?;
    }
    for row in rows.iter().filter(|row| !row.left.is_empty()) {
        let groups = row.left.iter().map(GroupId::as_str).collect::<Vec<_>>().join(", ");
        let is_reported = row.outcome == RowOutcome::Unchanged;
        say(format_args!(
            "{}: {} {groups}",
            id(row),
            if is_reported { "is not in the file, and in" } else { "leaves" }
        ))?;
    }
    let sum = |outcome| sums.get(&outcome).copied().unwrap_or(0);
    let samples: u32 = rows.iter().map(|row| row.samples_added).sum();
    say(format_args!(
        "{} created, {} updated, {} unchanged, {} failed; {samples} samples added",
        sum(RowOutcome::Created),
        sum(RowOutcome::Updated),
        sum(RowOutcome::Unchanged),
        sum(RowOutcome::Failed),
    ))
}

/// Says which columns were kept as metadata, as nobody may have meant that.
fn say_metadata(source: &Path) -> Result<()> {
    let columns = columns(&Roster::at(source)?).into_iter().filter(|column| column.meaning == "metadata");
    let headings: Vec<String> = columns.map(|column| column.heading).collect();
    if headings.is_empty() { Ok(()) } else { say(format_args!("kept as metadata: {}", headings.join(", "))) }
}

fn id(row: &RowView) -> &str {
    row.id.as_deref().unwrap_or_default()
}

/// A photo by its file's name, or by its number among the row's.
fn called(name: Option<&str>, number: u32) -> String {
    name.map_or_else(|| format!("photo {number}"), str::to_owned)
}
