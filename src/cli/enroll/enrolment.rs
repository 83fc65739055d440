//! One folder on the way in: its images in requests, and what became of them.

use std::{
    iter::Peekable,
    path::{Path, PathBuf},
    slice,
};

use bytes::Bytes;

use super::{
    Double, Folder, Outcome, Refused, Report,
    target::{Target, Way},
};
use crate::{
    cli::door::{Door, read_image, rejected_images, twins},
    config::Limits,
    domain::{DuplicatePolicy, GroupId, MetadataPatch, PersonId},
    error::{Error, ErrorKind, Result},
    pipeline::request::FaceChoice,
    service::{
        people::{
            duplicates::Twin,
            enrol::{Enrolled, FacesAdded, NewPerson, RejectedImage},
        },
        view::ProblemView,
    },
};

/// A request is cut once it holds this many bytes, so that memory stays flat whatever the images weigh.
const REQUEST_BYTES: usize = 16 << 20;

/// What becomes of somebody new who looks like somebody enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookAlikes {
    /// They are not enrolled, and the report says so.
    LeftOut,
    /// They are enrolled, as far as the tenant's rules allow.
    Enrolled,
}

/// One person on the way in.
pub(super) struct Enrolment<'a> {
    pub(super) door: &'a Door,
    pub(super) group: Option<&'a GroupId>,
    pub(super) limits: &'a Limits,
    pub(super) folder: &'a Folder,
    pub(super) target: &'a Target,
    pub(super) look_alikes: LookAlikes,
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

impl Enrolment<'_> {
    /// # Errors
    /// Only failures that concern everybody; what is wrong with this folder is in the report.
    pub(super) async fn run(self) -> Result<Report> {
        let Folder { name, images } = self.folder;
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
            let is_first = report.outcome == Outcome::Failed;
            let is_left_out = is_first && self.target.way == Way::Create && self.look_alikes == LookAlikes::LeftOut;
            match self.send(is_first, &bytes).await {
                Ok(Taken { samples, rejected, twins }) => {
                    report.outcome = self.target.way.done();
                    report.samples += samples;
                    report.refused.extend(refused(&paths, rejected));
                    report.doubles.extend(doubles(&paths, twins));
                }
                Err(error) => match twins(&error).filter(|_| is_left_out) {
                    Some(twins) => {
                        report.outcome = Outcome::LooksEnrolled;
                        report.doubles.extend(doubles(&paths, twins));
                        break;
                    }
                    None => report.refused.extend(refused_all(&paths, error)?),
                },
            }
        }
        Ok(report)
    }

    /// Until one request has brought a sample, the person is not made, or keeps the samples of before.
    async fn send(&self, is_first: bool, images: &[Bytes]) -> Result<Taken> {
        let id = &self.target.id;
        match self.target.way {
            Way::Create if is_first => self.create(id, images).await,
            Way::Replace if is_first => {
                let replaced = self.door.replace_faces(id, images).await?;
                self.join(id).await?;
                Ok(replaced.into())
            }
            Way::Add if is_first => {
                let added = self.door.add_faces(id, images).await?;
                self.join(id).await?;
                Ok(added.into())
            }
            Way::Create | Way::Replace | Way::Add => self.door.add_faces(id, images).await.map(Taken::from),
        }
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
            duplicates: (self.look_alikes == LookAlikes::LeftOut).then_some(DuplicatePolicy::Refuse),
        };
        self.door.enrol(&new, images).await.map(Taken::from)
    }

    async fn join(&self, id: &PersonId) -> Result<()> {
        match self.group {
            Some(group) => self.door.add_member(group, id).await,
            None => Ok(()),
        }
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
