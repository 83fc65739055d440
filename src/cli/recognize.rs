//! `rollcall recognize`: photos in, the class out.

mod report;
mod watch;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use self::report::{Recognised, Report};
use super::{
    Common, TenantArgs,
    door::{Door, Recognize, photo_problem, read_image},
    files::listed,
};
use crate::{
    domain::{GroupId, GroupSessionId, recognition::liveness::LivenessPolicy},
    error::{Error, Result},
};

/// Photos under way for each thread: one in work, one on the way.
const PHOTOS_PER_THREAD: usize = 2;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --group, faces are looked up among everybody and nobody is marked; with nobody enrolled every face is unknown.
--json prints one object a photo, then one for all:
  {\"what\":\"photo\",\"file\",\"width\",\"height\",\"turned\",\"faces\":[{\"number\",\"box\",\"normalized\",\"landmarks\",\"score\",\"width_px\",
   \"person\",\"name\",\"similarity\",\"margin\",\"reason\",\"candidates\",\"liveness\",\"pose\",\"attendance\",\"hint\"}],\"advice\",\"annotated\",
   \"error\":{\"code\",\"message\"}|null}
  {\"what\":\"summary\",\"photos\",\"failed\",\"faces\",\"present\":[{\"person\",\"name\",\"similarity\",\"attendance\"}],
   \"not_seen\":[{\"person\",\"name\"}],\"unknown_faces\",\"date\"}
Ends with an error if no photo could be used.")]
pub(super) struct RecognizeArgs {
    /// Photos, or folders of photos.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The group that is looked for and marked present.
    #[arg(long)]
    group: Option<GroupId>,
    /// Mark nobody present.
    #[arg(long)]
    no_mark: bool,
    /// The session that is marked [default: the one at that time].
    #[arg(long, value_name = "ID", requires = "group")]
    session: Option<GroupSessionId>,
    /// When the photos were taken, e.g. 2026-03-02T08:05:00Z [default: now, or with --watch when each says].
    #[arg(long, value_name = "TIME", requires = "group")]
    at: Option<Timestamp>,
    /// Whether faces must be live to be marked.
    #[arg(long, default_value = "off")]
    liveness: Liveness,
    /// The least similarity, raw cosine; where people are marked, never less than the tenant's [default: that].
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// The least lead over the next person; where people are marked, never less than the tenant's [default: that].
    #[arg(long, value_name = "COSINE")]
    margin: Option<f32>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Write copies with the faces, their numbers and names drawn in to this folder, as NAME.annotated.jpg.
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Send the photos, or one ZIP of them, to the running server as a job, and watch it: it goes on if this command
    /// ends. Each photo is for the session of its own time, or all for --session. Wants a --group; --json prints the
    /// server's objects.
    #[arg(long, conflicts_with = "annotate")]
    watch: bool,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// How strictly the liveness verdict decides over a mark.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Liveness {
    /// Not checked.
    Off,
    /// A spoof is not marked; a face too small to judge is.
    Passive,
    /// Only a live face is marked.
    Strict,
}

impl From<Liveness> for LivenessPolicy {
    fn from(liveness: Liveness) -> Self {
        match liveness {
            Liveness::Off => Self::Off,
            Liveness::Passive => Self::Passive,
            Liveness::Strict => Self::Strict,
        }
    }
}

pub(super) fn run(common: &Common, args: &RecognizeArgs) -> Result<()> {
    let settings = common.settings()?;
    let at_once = settings.pipeline.threads().get() * PHOTOS_PER_THREAD;
    let limit_bytes = settings.limits.image_bytes;
    let files = photos(&args.files)?;
    if args.watch {
        return watch::run(common, args, &files);
    }
    let mut copies = args.annotate.as_deref().map(Copies::new).transpose()?;
    let wanted = Recognize {
        group: args.group.clone(),
        mark: !args.no_mark,
        session: args.session,
        at: args.at,
        threshold: args.threshold,
        margin: args.margin,
        liveness: args.liveness.into(),
        annotate: copies.is_some(),
    };
    let mut report = Report::new(args.json);
    actix::System::new().block_on(async {
        let door = Door::open(settings, &args.tenant).await?;
        // One photo a request, so that memory stays flat over any number of them; answers come in the files' order.
        let under_way = files.iter().map(|file| recognize(&door, &wanted, file, limit_bytes));
        let mut done = stream::iter(under_way).buffered(at_once);
        while let Some((file, recognised)) = done.next().await {
            let mut recognised = recognised?;
            let annotated = match (&mut copies, take_annotated(&mut recognised)) {
                (Some(copies), Some(base64)) => Some(copies.write(file, &base64)?),
                _ => None,
            };
            report.add(file, annotated.as_deref(), recognised)?;
        }
        report.finish()
    })
}

/// One photo; its own problem is not an error of the command.
async fn recognize<'f>(
    door: &Door,
    wanted: &Recognize,
    file: &'f Path,
    limit_bytes: u64,
) -> (&'f Path, Result<Recognised>) {
    let bytes = match read_image(file, limit_bytes) {
        Ok(bytes) => bytes,
        Err(problem) => return (file, Ok(Err(problem))),
    };
    let recognised = match door.recognize(wanted, &bytes).await {
        Ok(recognition) => Ok(Ok(recognition)),
        Err(error) => photo_problem(&error).map(Err).ok_or(error),
    };
    (file, recognised)
}

/// Takes the annotated copy out of the answer for one photo.
fn take_annotated(recognised: &mut Recognised) -> Option<String> {
    recognised.as_mut().ok()?.photos.first_mut()?.annotated.take()
}

/// The files, and the files of the folders among them.
fn photos(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut photos = Vec::with_capacity(given.len());
    for path in given {
        if path.is_dir() {
            photos.extend(listed(path)?.into_iter().filter(|path| !path.is_dir()));
        } else {
            photos.push(path.clone());
        }
    }
    if photos.is_empty() {
        return Err(Error::invalid("there is no photo in these folders").with_code("no_images"));
    }
    Ok(photos)
}

/// The folder of annotated copies. No two photos of a run share a copy, and no photo is overwritten.
struct Copies {
    dir: PathBuf,
    written: BTreeSet<PathBuf>,
}

impl Copies {
    fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;
        Ok(Self { dir: dir.to_owned(), written: BTreeSet::new() })
    }

    /// Writes the copy of `photo` and returns its path.
    fn write(&mut self, photo: &Path, base64: &str) -> Result<PathBuf> {
        let jpeg = BASE64_STANDARD
            .decode(base64)
            .map_err(|error| Error::internal("the annotated copy cannot be read").with_source(error))?;
        let path = self.free_path(photo);
        fs::write(&path, jpeg).map_err(|error| unwritable(&path, error))?;
        self.written.insert(path.clone());
        Ok(path)
    }

    fn free_path(&self, photo: &Path) -> PathBuf {
        let stem = photo.file_stem().unwrap_or_default().to_string_lossy();
        let first = self.dir.join(format!("{stem}.annotated.jpg"));
        let others = (2..).map(|number| self.dir.join(format!("{stem}-{number}.annotated.jpg")));
        std::iter::once(first.clone()).chain(others).find(|path| !self.written.contains(path)).unwrap_or(first)
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be written", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_of_one_name_get_copies_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut copies = Copies::new(&dir.path().join("out")).unwrap();
        let written = ["a/class.jpg", "b/class.png", "c/class.jpg"]
            .map(|photo| copies.write(Path::new(photo), "AAAA").unwrap())
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        assert_eq!(written, ["class.annotated.jpg", "class-2.annotated.jpg", "class-3.annotated.jpg"]);
    }

    #[test]
    fn folders_are_expanded_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.jpg", "a.jpg", ".thumbs"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let single = PathBuf::from("single.jpg");
        let found = photos(&[single.clone(), dir.path().to_owned()]).unwrap();
        assert_eq!(found, [single, dir.path().join("a.jpg"), dir.path().join("b.jpg")]);
        assert_eq!(photos(&[tempfile::tempdir().unwrap().path().to_owned()]).err().unwrap().code(), "no_images");
    }
}
