//! How commands reach the data: through the running server if one answers, else by opening the store themselves.

mod audit;
mod local;
mod operator;
mod server;
mod users;

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use indicatif::ProgressBar;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use self::local::Local;
pub(super) use self::{
    audit::AuditDoor,
    operator::OperatorDoor,
    server::{KeyFile, Server},
    users::UserDoor,
};
use super::TenantArgs;
use crate::{
    app,
    config::Settings,
    domain::{GroupId, GroupSessionId, JobState, PersonId, recognition::liveness::LivenessPolicy},
    error::{Error, ErrorKind, Result},
    intake::row_names,
    service::{
        attendance::groups::NewGroup,
        jobs::{ImportParams, ItemView, RowView},
        people::{
            duplicates::Twin,
            enrol::{Enrolled, FacesAdded, NewPerson, RejectedImage},
            person::PersonView,
        },
        recognition::{
            calibration::{CalibrationParams, CalibrationReport},
            gallery::{GalleryCheckPage, GalleryCheckParams},
            recognize::Recognition,
        },
        view::ProblemView,
    },
};

/// How long a command waits for a door that is full of others' photos.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two knocks at a full door that does not say when to come back.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Either way to the data; both give the same answers.
pub(super) enum Door {
    /// A server runs on this data folder.
    Server(Server),
    /// This process has the store to itself.
    Local(Box<Local>),
}

/// What a recognition may set, whoever is looked for.
#[derive(Debug, Clone)]
pub(super) struct Recognize {
    /// Whom to look for; everybody if `None`, and then nobody is marked.
    pub(super) group: Option<GroupId>,
    pub(super) mark: bool,
    /// The session that is marked; the one at that time if `None`.
    pub(super) session: Option<GroupSessionId>,
    /// When the photos were taken; now if `None`.
    pub(super) at: Option<Timestamp>,
    pub(super) threshold: Option<f32>,
    pub(super) margin: Option<f32>,
    pub(super) liveness: LivenessPolicy,
    pub(super) annotate: bool,
}

impl Door {
    /// Finds the server of the data folder, or opens its store. To be called on an actix system.
    ///
    /// # Errors
    /// `store_locked` if another process has the store but no server answers; `NotFound` for an unknown tenant.
    pub(super) async fn open(settings: Settings, tenant: &TenantArgs) -> Result<Self> {
        match Server::find(&settings.server.data, &tenant.key_file(&settings.server.data)).await? {
            Some(server) => Ok(Self::Server(server)),
            None => Ok(Self::Local(Local::open(settings, &tenant.tenant).await?.into())),
        }
    }

    /// Makes a group whose name is its id, unless it exists. Returns whether it was made.
    pub(super) async fn ensure_group(&self, group: &GroupId) -> Result<bool> {
        let new = NewGroup { id: Some(group.clone()), name: group.to_string(), time_zone: None, rules: None };
        let made = match self {
            Self::Server(server) => server.create_group(&new).await,
            Self::Local(local) => local.create_group(new).await,
        };
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A person, if there is one of this id.
    pub(super) async fn person(&self, id: &PersonId) -> Result<Option<PersonView>> {
        let found = match self {
            Self::Server(server) => server.person(id).await,
            Self::Local(local) => local.person(id).await,
        };
        match found {
            Ok(person) => Ok(Some(person)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Enrols a new person.
    pub(super) async fn enrol(&self, new: &NewPerson, images: &[Bytes]) -> Result<Enrolled> {
        patiently(async || match self {
            Self::Server(server) => server.enrol(new, images).await,
            Self::Local(local) => local.enrol(new.clone(), images).await,
        })
        .await
    }

    /// Replaces all samples of a person, or none.
    pub(super) async fn replace_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<Enrolled> {
        patiently(async || match self {
            Self::Server(server) => server.replace_faces(person, images).await,
            Self::Local(local) => local.replace_faces(person, images).await,
        })
        .await
    }

    /// Adds samples to a person.
    pub(super) async fn add_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<FacesAdded> {
        patiently(async || match self {
            Self::Server(server) => server.add_faces(person, images).await,
            Self::Local(local) => local.add_faces(person, images).await,
        })
        .await
    }

    /// Puts a person on a group's roster; doing it twice is no error.
    pub(super) async fn add_member(&self, group: &GroupId, person: &PersonId) -> Result<()> {
        match self {
            Self::Server(server) => server.add_member(group, person).await,
            Self::Local(local) => local.add_member(group, person).await,
        }
    }

    /// Takes a roster in with the photos of a ZIP file, and shows on `bar` how it comes on.
    pub(super) async fn import(
        &self,
        csv: &Path,
        photos: Option<&Path>,
        params: &ImportParams,
        bar: &ProgressBar,
    ) -> Result<Vec<RowView>> {
        let server = match self {
            Self::Server(server) => server,
            Self::Local(local) => return local.import(csv, photos, params, bar).await,
        };
        let files: Vec<(&str, &Path)> = [("csv", csv)].into_iter().chain(photos.map(|path| ("photos", path))).collect();
        let job = server.start_job(&["people", "import"], params, &files).await?;
        let over = server.watch_job(&job, bar).await?;
        if over.state != JobState::Done {
            let why = over.error.map(|fault| format!(": {}", fault.message)).unwrap_or_default();
            return Err(Error::invalid(format!("the import did not come to its end{why}")).with_code("job_over"));
        }
        let row = |item| if let ItemView::Row(row) = item { Some(row) } else { None };
        let rows = server.job_results(&job).await?.into_iter().filter_map(row);
        // The server, which has taken the files, keeps no names.
        let names = row_names(csv, photos, 0..=u64::MAX, u64::MAX)?;
        let named = |row: RowView| match names.get(&row.item) {
            Some(names) => row.named(names),
            None => row,
        };
        Ok(rows.map(named).collect())
    }

    /// Looks after a part of the gallery.
    pub(super) async fn check_gallery(&self, params: &GalleryCheckParams) -> Result<GalleryCheckPage> {
        match self {
            Self::Server(server) => server.check_gallery(params).await,
            Self::Local(local) => local.check_gallery(params).await,
        }
    }

    /// The report on the tenant's thresholds.
    pub(super) async fn calibrate(&self, params: &CalibrationParams) -> Result<CalibrationReport> {
        match self {
            Self::Server(server) => server.calibrate(params).await,
            Self::Local(local) => local.calibrate(params).await,
        }
    }

    /// Recognises the people of one photo.
    pub(super) async fn recognize(&self, wanted: &Recognize, photo: &Bytes) -> Result<Recognition> {
        patiently(async || match self {
            Self::Server(server) => server.recognize(wanted, photo).await,
            Self::Local(local) => local.recognize(wanted, photo).await,
        })
        .await
    }
}

/// Knocks again while the door is full: photos of others leave it within moments. A day's quota is not waited for.
async fn patiently<T>(attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match attempt().await {
            Err(error) if error.kind() == ErrorKind::Overloaded => {
                let told = error.retry_after_s().map(|seconds| Duration::from_secs(seconds.get().into()));
                let wait = told.unwrap_or(RETRY_AFTER);
                if start.elapsed() + wait > PATIENCE {
                    return Err(error);
                }
                sleep(wait).await;
            }
            answer => return answer,
        }
    }
}

/// Says of a locked store that no server answers for it; other errors as they are.
fn in_use(data: &Path, error: Error) -> Error {
    if error.code() != "store_locked" {
        return error;
    }
    let message = format!(
        "the data folder {} is in use by another process, and no server answers at the socket in {}",
        data.display(),
        app::local_folder(data).display(),
    );
    Error::storage(message).with_code("store_locked")
}

/// What was wrong with the only photo of a failed recognition; `None` where the request itself failed.
pub(super) fn photo_problem(error: &Error) -> Option<ProblemView> {
    let problem = error.details()?.get("photos")?.get(0)?;
    serde_json::from_value(problem.clone()).ok()
}

/// The reasons why each image of a failed enrolment was refused; `None` where the request itself failed.
pub(super) fn rejected_images(error: &Error) -> Option<Vec<RejectedImage>> {
    serde_json::from_value(error.details()?.get("rejected")?.clone()).ok()
}

/// The other people whom the images of a failed enrolment show; `None` where it failed for another reason.
pub(super) fn twins(error: &Error) -> Option<Vec<Twin>> {
    serde_json::from_value(error.details()?.get("duplicates")?.clone()).ok()
}

/// Reads an image file, unless it is larger than any image may be.
pub(super) fn read_image(path: &Path, limit_bytes: u64) -> Result<Bytes, ProblemView> {
    let unreadable =
        |error: io::Error| ProblemView { code: "unreadable".into(), message: format!("cannot be read: {error}") };
    let size_bytes = path.metadata().map_err(unreadable)?.len();
    if size_bytes > limit_bytes {
        return Err(ProblemView {
            code: "image_too_large".into(),
            message: format!("an image is at most {limit_bytes} bytes"),
        });
    }
    std::fs::read(path).map(Bytes::from).map_err(unreadable)
}
