//! `rollcall enroll`: a folder with one subfolder a person, or a [`roster`].

mod enrolment;
mod question;
mod roster;
mod target;

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, stream};

use self::{
    enrolment::{Enrolment, LookAlikes},
    question::{Answer, Doubt, ask},
    target::{Target, targets},
};
use super::{
    Common, TenantArgs,
    door::Door,
    files::{listed, table},
    jobs::progress,
    say,
};
use crate::{
    config::Limits,
    domain::{
        GroupId, Leavers, LeaversIn, PersonId, RowGroups, attendance::roster::DayOrMoment, people::words::composed,
    },
    error::{Error, Result},
    service::{people::person::PersonView, view::ProblemView},
};

/// People under way at once: enough to keep every thread busy, few enough to hold little memory.
const PEOPLE_AT_ONCE: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = "\
A subfolder's name is the person's name, and the id too where it is one (1 to 128 of letters, digits and ._-@:/+ or
inner spaces); otherwise the id is made from the name, as bjorn-astrom, or bjorn-astrom-2 where somebody else has that.
Each image should show the person clearly largest.
Doing it again is safe: the samples of a person who exists are replaced by those of the folder.
Somebody new who looks like somebody enrolled may be the same person by another name, who would then be recognised no
more: a terminal is asked, otherwise they are not enrolled, and --new or --into says what to do.
A roster has a header with the columns id, name, email, groups and on_roster_since, in any of the languages and spellings
that the README names; others are kept as metadata. Doing it again adds what is new of each person, and never the same
photo twice.
Ends with an error only if nobody could be enrolled, somebody looks enrolled and nobody said what to do, or the server
failed.")]
pub(super) struct EnrollArgs {
    /// The folder: one subfolder a person, with that person's images. Or a roster: a CSV file, or a workbook (.xlsx).
    #[arg(value_name = "DIR|ROSTER")]
    source: PathBuf,
    /// The photos of a roster: a ZIP file or a folder, with ID/anything.jpg or ID.jpg.
    #[arg(long, value_name = "ZIP|DIR")]
    photos: Option<PathBuf>,
    /// Check a roster and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Make the groups that a roster names and that do not exist.
    #[arg(long)]
    create_groups: bool,
    /// What a roster's groups are to a person: groups to join, or in the place of all that they are in.
    #[arg(long, value_name = "join|replace", default_value = "join", value_parser = groups_of_rows)]
    groups: RowGroups,
    /// What becomes of people of groups who are not in a roster: nothing, they are named, or they leave the groups.
    #[arg(long, value_name = "keep|report|remove", default_value = "keep", value_parser = leavers_of_roster)]
    leavers: Leavers,
    /// In which groups those are looked for: in those that the roster names, or in all.
    #[arg(long, value_name = "file|all", default_value = "file", value_parser = leavers_in_of_roster)]
    leavers_in: LeaversIn,
    /// Since when people are on the rosters of the groups they join, where a roster's row does not say it: 2026-09-01.
    #[arg(long, value_name = "DAY|MOMENT")]
    on_roster_since: Option<DayOrMoment>,
    /// Put everybody into this group; it is made if it does not exist.
    #[arg(long)]
    group: Option<GroupId>,
    /// Enrol everybody new as somebody new, also who looks like somebody enrolled.
    #[arg(long, conflicts_with = "into")]
    new: bool,
    /// Put the photos of the only subfolder beside those of this person, who is enrolled.
    #[arg(long, value_name = "ID")]
    into: Option<PersonId>,
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
    /// Looks like somebody enrolled, and nobody said what to do.
    LooksEnrolled,
    Failed,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Updated => "updated",
            Self::LooksEnrolled => "looks_enrolled",
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

/// A file that could not be used.
struct Refused {
    path: PathBuf,
    problem: ProblemView,
}

pub(super) fn run(common: &Common, args: &EnrollArgs) -> Result<()> {
    if args.source.is_file() {
        return roster::run(common, args);
    }
    let is_of_roster = args.photos.is_some() || args.dry_run || args.create_groups;
    let is_of_roster = is_of_roster || args.groups != RowGroups::Join;
    let is_of_roster = is_of_roster || args.leavers != Leavers::Keep || args.leavers_in != LeaversIn::File;
    if is_of_roster || args.on_roster_since.is_some() {
        let message = "--photos, --dry-run, --create-groups, --groups, --leavers, --leavers-in and --on-roster-since go with a roster";
        return Err(Error::invalid(message).with_code("invalid_flags"));
    }
    let settings = common.settings()?;
    let limits = settings.limits.clone();
    let (folders, strays) = folders(&args.source)?;
    if args.into.is_some() && folders.len() > 1 {
        let message = "--into takes the photos of one person: give a folder with one subfolder";
        return Err(Error::invalid(message).with_code("invalid_flags"));
    }
    actix::System::new().block_on(async {
        let door = Door::open(settings, &args.tenant).await?;
        let enroller = Enroller { door: &door, group: args.group.as_ref(), limits: &limits };
        let targets = match &args.into {
            Some(person) => vec![Target::enrolled(&door, person).await?],
            None => targets(&door, &folders.iter().map(|folder| folder.name.as_str()).collect::<Vec<_>>()).await?,
        };
        let look_alikes = if args.new { LookAlikes::Enrolled } else { LookAlikes::LeftOut };
        let mut reports = Vec::with_capacity(folders.len());
        let mut enrolled = enroller.enrol_all(&folders, &targets, look_alikes, &mut reports).await;
        if enrolled.is_ok() && io::stdin().is_terminal() {
            enrolled = enroller.ask(&folders, &targets, &mut reports).await;
        }
        summarise(&reports, &strays)?;
        enrolled?;
        require_decided(&reports)?;
        if reports.iter().all(|report| report.outcome == Outcome::Failed) {
            return Err(Error::invalid("nobody could be enrolled").with_code("nobody_enrolled"));
        }
        Ok(())
    })
}

fn groups_of_rows(text: &str) -> Result<RowGroups, &'static str> {
    match text {
        "join" => Ok(RowGroups::Join),
        "replace" => Ok(RowGroups::Replace),
        _ => Err("join or replace"),
    }
}

fn leavers_in_of_roster(text: &str) -> Result<LeaversIn, &'static str> {
    match text {
        "file" => Ok(LeaversIn::File),
        "all" => Ok(LeaversIn::All),
        _ => Err("file or all"),
    }
}

fn leavers_of_roster(text: &str) -> Result<Leavers, &'static str> {
    match text {
        "keep" => Ok(Leavers::Keep),
        "report" => Ok(Leavers::Report),
        "remove" => Ok(Leavers::Remove),
        _ => Err("keep, report or remove"),
    }
}

/// The subfolders with their files, and the files that lie beside them, all in order. Two whose names are one in other forms
/// of Unicode are one person's.
fn folders(dir: &Path) -> Result<(Vec<Folder>, Vec<Refused>)> {
    let (mut people, mut strays) = (BTreeMap::<String, Vec<PathBuf>>::new(), Vec::new());
    for path in listed(dir)? {
        if path.is_dir() {
            let name = composed(&path.file_name().unwrap_or_default().to_string_lossy()).into_owned();
            let images = listed(&path)?.into_iter().filter(|path| !path.is_dir());
            people.entry(name).or_default().extend(images);
        } else {
            let message = "it is not in a person's folder".into();
            strays.push(Refused { path, problem: ProblemView { code: "no_person".into(), message } });
        }
    }
    if people.is_empty() {
        let message = format!("{} has no subfolder: put each person's images into one", dir.display());
        return Err(Error::invalid(message).with_code("no_people"));
    }
    Ok((people.into_iter().map(|(name, images)| Folder { name, images }).collect(), strays))
}

/// What everybody is enrolled by.
#[derive(Clone, Copy)]
struct Enroller<'a> {
    door: &'a Door,
    group: Option<&'a GroupId>,
    limits: &'a Limits,
}

impl Enroller<'_> {
    /// Enrols everybody, in order; what was done before a failure of the server is in `reports`.
    async fn enrol_all(
        self,
        folders: &[Folder],
        targets: &[Target],
        look_alikes: LookAlikes,
        reports: &mut Vec<Report>,
    ) -> Result<()> {
        if let Some(group) = self.group {
            self.door.ensure_group(group).await?;
        }
        let bar = progress("people");
        bar.set_length(folders.len() as u64);
        let people =
            folders.iter().zip(targets).map(|(folder, target)| self.enrolment(folder, target, look_alikes).run());
        let mut done = stream::iter(people).buffered(PEOPLE_AT_ONCE);
        while let Some(report) = done.next().await {
            reports.push(report?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Asks of everybody who looks enrolled, one after the other, and does so.
    async fn ask(self, folders: &[Folder], targets: &[Target], reports: &mut [Report]) -> Result<()> {
        for (report, (folder, target)) in reports.iter_mut().zip(folders.iter().zip(targets)) {
            let best = report.doubles.iter().max_by(|one, other| one.similarity.total_cmp(&other.similarity));
            let Some(Double { other, similarity, .. }) = best.filter(|_| report.outcome == Outcome::LooksEnrolled)
            else {
                continue;
            };
            // Gone since: then nobody is like them any more.
            let answer = match self.door.person(other).await? {
                Some(PersonView { name, .. }) => {
                    let doubt = Doubt { name: &folder.name, other, other_name: &name, similarity: *similarity };
                    ask(&doubt, &mut io::stdin().lock(), &mut io::stderr())?
                }
                None => Answer::New,
            };
            let target = match answer {
                Answer::New => target.clone(),
                Answer::Into => Target::beside(other.clone()),
                Answer::Skip => continue,
            };
            *report = self.enrolment(folder, &target, LookAlikes::Enrolled).run().await?;
        }
        Ok(())
    }

    fn enrolment<'f>(self, folder: &'f Folder, target: &'f Target, look_alikes: LookAlikes) -> Enrolment<'f>
    where
        Self: 'f,
    {
        let Self { door, group, limits } = self;
        Enrolment { door, group, limits, folder, target, look_alikes }
    }
}

/// Who is left for somebody to decide on. Errors: `Invalid` `looks_enrolled`.
fn require_decided(reports: &[Report]) -> Result<()> {
    let undecided = reports.iter().filter(|report| report.outcome == Outcome::LooksEnrolled).count();
    if undecided == 0 {
        return Ok(());
    }
    let message = format!(
        "looks_enrolled: so many people look like somebody enrolled and were left out: {undecided}. Say --new if they are \
         others, or --into ID with a folder of one of them to add the photos to that person"
    );
    Err(Error::invalid(message).with_code("looks_enrolled"))
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
    for report in reports {
        let (code, also) = match report.outcome {
            Outcome::LooksEnrolled => ("looks_enrolled", ""),
            Outcome::Enrolled | Outcome::Updated | Outcome::Failed => ("duplicate_of", " as well"),
        };
        for Double { path, other, similarity } in &report.doubles {
            say(format_args!("{}: {code}: looks like {other}{also} ({similarity:.2})", path.display()))?;
        }
    }
    let sum = |outcome| sums.get(&outcome).copied().unwrap_or(0);
    let samples: usize = reports.iter().map(|report| report.samples).sum();
    say(format_args!(
        "{} enrolled, {} updated, {} failed; {samples} images used, {} refused",
        sum(Outcome::Enrolled),
        sum(Outcome::Updated),
        sum(Outcome::Failed) + sum(Outcome::LooksEnrolled),
        refused.len(),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_are_people_in_order_and_hidden_files_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/2.jpg", "b/1.jpg", "b/.hidden", "a/x.png", ".git/x", "zoe\u{308}/1.jpg", "zoë/2.jpg"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::write(dir.path().join("stray.jpg"), "").unwrap();
        let (people, strays) = folders(dir.path()).unwrap();
        let found: Vec<(&str, usize)> = people.iter().map(|folder| (&*folder.name, folder.images.len())).collect();
        assert_eq!(found, [("a", 1), ("b", 2), ("zoë", 2)], "the name in one form, however the disk has it");
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
