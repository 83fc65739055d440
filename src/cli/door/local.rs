//! The door of a command that has the data folder to itself: the server's own parts, without HTTP.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;

use super::{PATIENCE, Recognize, in_use, patiently};
use crate::{
    app::App,
    config::Settings,
    domain::{GroupId, ImportOptions, Leavers, PersonId, RowOutcome, TenantId, TenantScope},
    error::{ErrorKind, Result},
    intake::{Named, Plan},
    pipeline::{full, messages::EncodedImage, request::turn_of},
    runtime::{Faults, ServiceClass},
    service::{
        Services, Visit,
        attendance::groups::NewGroup,
        jobs::{ImportParams, RowView},
        people::{
            enrol::{Enrolled, FacesAdded, MoreFaces, NewPerson},
            import::{RowRules, failed_row},
            person::PersonView,
        },
        recognition::{
            calibration::{CalibrationParams, CalibrationReport},
            gallery::{GalleryCheckPage, GalleryCheckParams},
            recognize::{IdentifyParams, Recognition, RecognizeParams, RequestClass},
        },
    },
    telemetry::logging,
};

/// See the module.
pub(in crate::cli) struct Local {
    app: App,
    scope: TenantScope,
}

impl Local {
    pub(super) async fn open(mut settings: Settings, tenant: &TenantId) -> Result<Self> {
        // The command's own output says what it does; only trouble is worth a log line.
        settings.log.filter = "warn".into();
        logging::start(&settings.log)?;
        let data = settings.server.data.clone();
        let app = App::build(settings, Faults::default()).await.map_err(|error| in_use(&data, error))?;
        let opened = Self { app, scope: TenantScope::granted(tenant.clone()) };
        opened.services().store().open_tenant(&opened.scope).await?;
        Ok(opened)
    }

    pub(super) fn services(&self) -> &Services {
        self.app.services()
    }

    async fn visit(&self) -> Result<Visit> {
        self.services().visit(&self.scope).await
    }

    /// Takes memory for the images from the pipeline's budget, waiting for room.
    async fn hold(&self, images: &[Bytes]) -> Result<Vec<EncodedImage>> {
        let budget = &self.services().pipeline().tools().budget;
        let turn = turn_of(ServiceClass::Interactive, &self.scope);
        let mut held = Vec::with_capacity(images.len());
        for bytes in images {
            let reserved = budget.reserve_within(&turn, bytes.len() as u64, PATIENCE);
            let reserved = reserved.await.map_err(full)?;
            held.push(EncodedImage { bytes: bytes.clone(), held: reserved });
        }
        Ok(held)
    }

    pub(super) async fn create_group(&self, new: NewGroup) -> Result<()> {
        self.services().attendance.create_group(&self.scope, new).await.map(drop)
    }

    pub(super) async fn person(&self, id: &PersonId) -> Result<PersonView> {
        self.services().people.person(&self.scope, id).await
    }

    pub(super) async fn enrol(&self, new: NewPerson, images: &[Bytes]) -> Result<Enrolled> {
        let images = self.hold(images).await?;
        self.services().people.enrol(&self.visit().await?, new, images).await
    }

    pub(super) async fn replace_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<Enrolled> {
        let images = self.hold(images).await?;
        self.services().people.replace_faces(&self.visit().await?, person, MoreFaces::default(), images).await
    }

    pub(super) async fn add_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<FacesAdded> {
        let images = self.hold(images).await?;
        self.services().people.add_faces(&self.visit().await?, person, MoreFaces::default(), images).await
    }

    pub(super) async fn add_member(&self, group: &GroupId, person: &PersonId) -> Result<()> {
        self.services().attendance.add_member(&self.scope, group, person, None).await
    }

    pub(super) async fn import(
        &self,
        csv: &Path,
        photos: Option<&Path>,
        params: &ImportParams,
        bar: &ProgressBar,
    ) -> Result<Vec<RowView>> {
        let options = &self.services().jobs.desk().options;
        let plan = Plan::new(csv, photos, options.max_entries)?;
        bar.set_length(plan.rows);
        let rules = RowRules { options: params.clone().into(), image_bytes: options.image_bytes };
        let rows = plan.map(|row| async move {
            let row = row?;
            let taken =
                patiently(async || self.services().people.import_row(&self.scope, &row, rules, None).await).await;
            let report = match taken {
                Err(error) if [ErrorKind::Storage, ErrorKind::Unavailable].contains(&error.kind()) => {
                    return Err(error);
                }
                Err(error) => failed_row(&row.row, &error),
                Ok(report) => report,
            };
            Ok(RowView::new(row.number, report).named(&row.names()))
        });
        let mut done = stream::iter(rows).buffered(options.items_at_once);
        let mut all = Vec::new();
        while let Some(row) = done.next().await {
            all.push(row?);
            bar.inc(1);
        }
        if rules.options.leavers != Leavers::Keep {
            let seen_off = self.see_off_all(csv, rules.options, &all).await?;
            all.extend(seen_off);
        }
        Ok(all)
    }

    /// The leavers of a roster whose rows came to `rows`.
    async fn see_off_all(&self, csv: &Path, options: ImportOptions, rows: &[RowView]) -> Result<Vec<RowView>> {
        let have_rows_failed = rows.iter().any(|row| row.outcome == RowOutcome::Failed);
        let leavers = self.services().people.leavers(&self.scope, &Named::in_roster(csv)?, options.leavers_in).await?;
        let mut seen_off = Vec::with_capacity(leavers.len());
        for (number, leaver) in (rows.len() as u64..).zip(leavers) {
            let (report, _) =
                self.services().people.see_off(&self.scope, &leaver, options, have_rows_failed, None).await?;
            seen_off.push(RowView::new(number, report));
        }
        Ok(seen_off)
    }

    pub(super) async fn check_gallery(&self, params: &GalleryCheckParams) -> Result<GalleryCheckPage> {
        self.services().recognition.check_gallery(&self.scope, params.clone()).await
    }

    pub(super) async fn calibrate(&self, params: &CalibrationParams) -> Result<CalibrationReport> {
        self.services().recognition.calibration(&self.scope, *params).await
    }

    pub(super) async fn recognize(&self, wanted: &Recognize, photo: &Bytes) -> Result<Recognition> {
        let images = self.hold(std::slice::from_ref(photo)).await?;
        match &wanted.group {
            Some(group) => {
                let params = RecognizeParams::from(wanted);
                self.services().recognition.recognize(&self.visit().await?, group, images, &params).await
            }
            None => {
                self.services().recognition.identify(&self.visit().await?, images, &IdentifyParams::from(wanted)).await
            }
        }
    }
}

impl Drop for Local {
    /// Ends what [`App::build`] started. What was acknowledged is stored already.
    fn drop(&mut self) {
        self.app.stop();
    }
}

impl From<&Recognize> for RecognizeParams {
    fn from(wanted: &Recognize) -> Self {
        Self {
            mark: Some(wanted.mark),
            threshold: wanted.threshold,
            margin: wanted.margin,
            liveness: Some(wanted.liveness),
            annotate: Some(wanted.annotate),
            class: Some(RequestClass::Bulk),
            session: wanted.session,
            at: wanted.at,
            ..Self::default()
        }
    }
}

impl From<&Recognize> for IdentifyParams {
    fn from(wanted: &Recognize) -> Self {
        Self {
            threshold: wanted.threshold,
            margin: wanted.margin,
            liveness: Some(wanted.liveness),
            annotate: Some(wanted.annotate),
            ..Self::default()
        }
    }
}
