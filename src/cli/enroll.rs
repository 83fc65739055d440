//! `rollcall enroll`: a folder with one subfolder a person, or a [`roster`].

mod roster;

use std::{
    collections::BTreeMap,
    iter::Peekable,
    path::{Path, PathBuf},
    slice,
};

use bytes::Bytes;
use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::{
    Common, TenantArgs,
    door::{Door, read_image, rejected_images},
    files::{listed, table},
    jobs::progress,
    say,
};
use crate::{
    config::Limits,
    domain::{GroupId, MetadataPatch, PersonId},
    error::{Error, ErrorKind, Result},
    pipeline::request::FaceChoice,
    service::{
        duplicates::Twin,
        enrol::{Enrolled, FacesAdded, NewPerson, RejectedImage},
        view::ProblemView,
    },
};

/// A request is cut once it holds this many bytes, so that memory stays flat whatever the images weigh.
const REQUEST_BYTES: usize = 16 << 20;
/// People under way at once: enough to keep every thread busy, few enough to hold little memory.
const PEOPLE_AT_ONCE: usize = 4;
/// Bytes of the name's hash in an id: enough that two names of one institution never meet.
const HASHED_ID_BYTES: usize = 12;

#[derive(Debug, Args)]
#[command(after_help = "\
A subfolder's name is the person's name, and the id too where it is one (1 to 128 of letters, digits and ._-@:/+ or
inner spaces); otherwise the id is made from the name. Each image should show the person clearly largest.
Doing it again is safe: the samples of a person who exists are replaced by those of the folder.
A roster has a header with the columns id, name, email and groups; others are kept as metadata. Doing it again adds what
is new of each person, and never the same photo twice.
Ends with an error only if nobody could be enrolled or the server failed.")]
pub(super) struct EnrollArgs {
    /// The folder: one subfolder a person, with that person's images. Or a roster: a CSV file.
    #[arg(value_name = "DIR|CSV")]
    source: PathBuf,
    /// The photos of a roster: a ZIP file or a folder, with ID/anything.jpg or ID.jpg.
    #[arg(long, value_name = "ZIP|DIR")]
    photos: Option<PathBuf>,
    /// Check a roster and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Put everybody into this group; it is made if it does not exist.
    #[arg(long)]
    group: Option<GroupId>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// A subfolder.
struct Folder {
    name: String,
    images: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Enrolled,
    Updated,
    Failed,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Updated => "updated",
            Self::Failed => "failed",
        }
    }
}

/// What became of one subfolder.
struct Report {
    name: String,
    outcome: Outcome,
    samples: usize,
    refused: Vec<Refused>,
    doubles: Vec<Double>,
}

/// A file that shows somebody else of the tenant as well.
struct Double {
    path: PathBuf,
    other: PersonId,
    similarity: f32,
}

/// What a request brought.
struct Taken {
    samples: usize,
    rejected: Vec<RejectedImage>,
    twins: Vec<Twin>,
}

impl From<Enrolled> for Taken {
    fn from(enrolled: Enrolled) -> Self {
        Self { samples: enrolled.person.faces.len(), rejected: enrolled.rejected, twins: enrolled.duplicates }
    }
}

impl From<FacesAdded> for Taken {
    fn from(added: FacesAdded) -> Self {
        Self { samples: added.faces.len(), rejected: added.rejected, twins: added.duplicates }
    }
}

/// A file that could not be used.
struct Refused {
    path: PathBuf,
    problem: ProblemView,
}

pub(super) fn run(common: &Common, args: &EnrollArgs) -> Result<()> {
    if args.source.is_file() {
        return roster::run(common, args);
    }
    if args.photos.is_some() || args.dry_run {
        return Err(Error::invalid("--photos and --dry-run go with a roster").with_code("invalid_flags"));
    }
    let settings = common.settings()?;
    let limits = settings.limits.clone();
    let (folders, strays) = folders(&args.source)?;
    actix::System::new().block_on(async {
        let door = Door::open(settings, &args.tenant).await?;
        let mut reports = Vec::with_capacity(folders.len());
        let enrolled = enrol_all(&door, args.group.as_ref(), &folders, &limits, &mut reports).await;
        summarise(&reports, &strays)?;
        enrolled?;
        if reports.iter().all(|report| report.outcome == Outcome::Failed) {
            return Err(Error::invalid("nobody could be enrolled").with_code("nobody_enrolled"));
        }
        Ok(())
    })
}

/// The subfolders with their files, and the files that lie beside them, all in order.
fn folders(dir: &Path) -> Result<(Vec<Folder>, Vec<Refused>)> {
    let (mut folders, mut strays) = (Vec::new(), Vec::new());
    for path in listed(dir)? {
        if path.is_dir() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let images = listed(&path)?.into_iter().filter(|path| !path.is_dir()).collect();
            folders.push(Folder { name, images });
        } else {
            let message = "it is not in a person's folder".into();
            strays.push(Refused { path, problem: ProblemView { code: "no_person".into(), message } });
        }
    }
    if folders.is_empty() {
        let message = format!("{} has no subfolder: put each person's images into one", dir.display());
        return Err(Error::invalid(message).with_code("no_people"));
    }
    Ok((folders, strays))
}

/// Enrols everybody, in order; what was done before a failure of the server is in `reports`.
async fn enrol_all(
    door: &Door,
    group: Option<&GroupId>,
    folders: &[Folder],
    limits: &Limits,
    reports: &mut Vec<Report>,
) -> Result<()> {
    if let Some(group) = group {
        door.ensure_group(group).await?;
    }
    let bar = progress("people");
    bar.set_length(folders.len() as u64);
    let people = folders.iter().map(|folder| Enrolment { door, group, limits, folder }.run());
    let mut done = stream::iter(people).buffered(PEOPLE_AT_ONCE);
    while let Some(report) = done.next().await {
        reports.push(report?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// One person on the way in.
struct Enrolment<'a> {
    door: &'a Door,
    group: Option<&'a GroupId>,
    limits: &'a Limits,
    folder: &'a Folder,
}

impl Enrolment<'_> {
    /// # Errors
    /// Only failures that concern everybody; what is wrong with this folder is in the report.
    async fn run(self) -> Result<Report> {
        let Folder { name, images } = self.folder;
        let id = person_id(name);
        let known = self.door.person(&id).await?.is_some();
        let done = if known { Outcome::Updated } else { Outcome::Enrolled };
        let mut report = Report {
            name: name.clone(),
            outcome: Outcome::Failed,
            samples: 0,
            refused: Vec::new(),
            doubles: Vec::new(),
        };
        let mut images = images.iter().peekable();
        while images.peek().is_some() {
            let (paths, bytes) = self.next_request(&mut images, &mut report.refused);
            if bytes.is_empty() {
                continue;
            }
            // Until one request has brought a sample, the person is not made, or keeps the samples of before.
            let sent = match (report.outcome, known) {
                (Outcome::Failed, false) => self.create(&id, &bytes).await,
                (Outcome::Failed, true) => self.replace(&id, &bytes).await,
                _ => self.door.add_faces(&id, &bytes).await.map(Taken::from),
            };
            match sent {
                Ok(Taken { samples, rejected, twins }) => {
                    report.outcome = done;
                    report.samples += samples;
                    report.refused.extend(refused(&paths, rejected));
                    report.doubles.extend(doubles(&paths, twins));
                }
                Err(error) => report.refused.extend(refused_all(&paths, error)?),
            }
        }
        Ok(report)
    }

    /// The next files, until a request is full.
    fn next_request<'f>(
        &self,
        files: &mut Peekable<slice::Iter<'f, PathBuf>>,
        refused: &mut Vec<Refused>,
    ) -> (Vec<&'f Path>, Vec<Bytes>) {
        let (mut paths, mut images, mut total_bytes) = (Vec::new(), Vec::new(), 0);
        while images.len() < self.limits.request_images && total_bytes < REQUEST_BYTES {
            let Some(path) = files.next() else { break };
            match read_image(path, self.limits.image_bytes) {
                Ok(bytes) => {
                    total_bytes += bytes.len();
                    paths.push(path.as_path());
                    images.push(bytes);
                }
                Err(problem) => refused.push(Refused { path: path.clone(), problem }),
            }
        }
        (paths, images)
    }

    async fn create(&self, id: &PersonId, images: &[Bytes]) -> Result<Taken> {
        let new = NewPerson {
            id: Some(id.clone()),
            name: self.folder.name.clone(),
            email: None,
            metadata: MetadataPatch::new(),
            consent: None,
            groups: self.group.into_iter().cloned().collect(),
            faces: FaceChoice::default(),
            quality: None,
        };
        self.door.enrol(&new, images).await.map(Taken::from)
    }

    async fn replace(&self, id: &PersonId, images: &[Bytes]) -> Result<Taken> {
        let enrolled = self.door.replace_faces(id, images).await?;
        if let Some(group) = self.group {
            self.door.add_member(group, id).await?;
        }
        Ok(enrolled.into())
    }
}

/// The name where it is an id; else one that is made from the name, so that a second run finds the same person.
fn person_id(name: &str) -> PersonId {
    name.parse().unwrap_or_else(|_| {
        let hash = hex::encode(&Sha256::digest(name.as_bytes())[..HASHED_ID_BYTES]);
        format!("name-{hash}").parse().unwrap_or_else(|_| PersonId::generate())
    })
}

fn refused(paths: &[&Path], rejected: Vec<RejectedImage>) -> impl Iterator<Item = Refused> {
    rejected.into_iter().filter_map(|RejectedImage { image, reason, message, .. }| {
        let path = paths.get(image)?.to_path_buf();
        Some(Refused { path, problem: ProblemView { code: reason, message } })
    })
}

fn doubles(paths: &[&Path], twins: Vec<Twin>) -> impl Iterator<Item = Double> {
    twins.into_iter().filter_map(|Twin { image, person, similarity }| {
        Some(Double { path: paths.get(image)?.to_path_buf(), other: person, similarity })
    })
}

/// A request that failed for its images' sake.
///
/// # Errors
/// The error itself where it concerns everybody.
fn refused_all(paths: &[&Path], error: Error) -> Result<Vec<Refused>> {
    if let Some(rejected) = rejected_images(&error) {
        return Ok(refused(paths, rejected).collect());
    }
    let theirs = [ErrorKind::Invalid, ErrorKind::Unprocessable, ErrorKind::TooLarge, ErrorKind::Unsupported];
    if !theirs.contains(&error.kind()) {
        return Err(error);
    }
    let problem = ProblemView::from(&error);
    Ok(paths.iter().map(|path| Refused { path: path.to_path_buf(), problem: problem.clone() }).collect())
}

/// A table of the people, then the reason for each refused file, then the files that are someone else's too, then the
/// sums.
fn summarise(reports: &[Report], strays: &[Refused]) -> Result<()> {
    let mut people: Table = table(&["person", "result", "samples", "refused"]);
    let mut sums: BTreeMap<Outcome, usize> = BTreeMap::new();
    for report in reports {
        *sums.entry(report.outcome).or_default() += 1;
        people.add_row([
            report.name.clone(),
            report.outcome.name().to_owned(),
            report.samples.to_string(),
            report.refused.len().to_string(),
        ]);
    }
    say(&people)?;
    let refused: Vec<&Refused> = reports.iter().flat_map(|report| &report.refused).chain(strays).collect();
    for Refused { path, problem: ProblemView { code, message } } in &refused {
        say(format_args!("{}: {code}: {message}", path.display()))?;
    }
    for Double { path, other, similarity } in reports.iter().flat_map(|report| &report.doubles) {
        say(format_args!("{}: duplicate_of: looks like {other} as well ({similarity:.2})", path.display()))?;
    }
    let sum = |outcome| sums.get(&outcome).copied().unwrap_or(0);
    let samples: usize = reports.iter().map(|report| report.samples).sum();
    say(format_args!(
        "{} enrolled, {} updated, {} failed; {samples} images used, {} refused",
        sum(Outcome::Enrolled),
        sum(Outcome::Updated),
        sum(Outcome::Failed),
        refused.len(),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_that_is_no_id_gets_the_same_id_every_time() {
        assert_eq!(person_id("Jane Doe").as_str(), "Jane Doe");
        let made = person_id("Zoë 李");
        assert_eq!(made, person_id("Zoë 李"));
        assert_ne!(made, person_id("Zoe 李"));
    }

    #[test]
    fn folders_are_people_in_order_and_hidden_files_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/2.jpg", "b/1.jpg", "b/.hidden", "a/x.png", ".git/x"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(dir.path().join("stray.jpg"), "").unwrap();
        let (people, strays) = folders(dir.path()).unwrap();
        let found: Vec<(&str, usize)> = people.iter().map(|folder| (&*folder.name, folder.images.len())).collect();
        assert_eq!(found, [("a", 1), ("b", 2)]);
        assert!(people[1].images[0].ends_with("b/1.jpg"));
        assert_eq!(strays.len(), 1);
    }

    #[test]
    fn a_folder_without_people_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(folders(dir.path()).err().unwrap().code(), "no_people");
        assert!(folders(&dir.path().join("missing")).err().unwrap().message().contains("missing"));
    }
}
