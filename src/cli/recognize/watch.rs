//! `rollcall recognize --watch`: photos go to the server as a job, which goes on if the command ends.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::RecognizeArgs;
use crate::{
    cli::{Common, door::Server, jobs::progress, say},
    domain::{JobState, PersonId},
    error::{Error, Result},
    intake::photo_names,
    service::jobs::{ItemView, JobView, RecogniseJobParams, RecognisedPhotoView},
};

pub(super) fn run(common: &Common, args: &RecognizeArgs, files: &[PathBuf]) -> Result<()> {
    let Some(group) = &args.group else {
        return Err(Error::invalid("--watch wants a --group").with_code("invalid_flags"));
    };
    let settings = common.settings()?;
    let params = RecogniseJobParams {
        mark: Some(!args.no_mark),
        at: args.at,
        session: args.session,
        source: None,
        threshold: args.threshold,
        margin: args.margin,
        liveness: Some(args.liveness.into()),
    };
    let is_zip = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    // A ZIP goes as it is; of several, or among photos, each would be a photo that is none.
    let sent: Vec<(&str, &Path)> = match files {
        [one] if is_zip(one) => vec![("photos", one)],
        files => files.iter().map(|file| ("images", file.as_path())).collect(),
    };
    // The server keeps no names.
    let names: HashMap<u64, String> = match files {
        [one] if is_zip(one) => photo_names(one, 0..=u64::MAX, u64::MAX)?,
        files => (0..).zip(files.iter().map(|file| file.display().to_string())).collect(),
    };
    actix::System::new().block_on(async {
        let data = &settings.server.data;
        let Some(server) = Server::find(data, &args.tenant.key_file(data)).await? else {
            return Err(Error::invalid("no server runs on this data folder: --watch wants one").with_code("no_server"));
        };
        let job = server.start_job(&["groups", group.as_str(), "jobs", "recognize"], &params, &sent).await?;
        let bar = progress("photos");
        let over = server.watch_job(&job, &bar).await;
        bar.finish_and_clear();
        let (over, results) = (over?, server.job_results(&job).await?);
        for result in results {
            let ItemView::Photo(photo) = result else { continue };
            let photo = RecognisedPhotoView { photo: names.get(&photo.item).cloned(), ..photo };
            say_photo(&photo, args.json)?;
        }
        finish(&over, args.json)
    })
}

/// A line: the file, when it was taken, who was named, or what is wrong with it.
fn say_photo(photo: &RecognisedPhotoView, is_json: bool) -> Result<()> {
    if is_json {
        return say(json(photo)?);
    }
    let name = photo.photo.as_deref().unwrap_or_default();
    if let Some(fault) = &photo.error {
        return say(format_args!("{name}: {}: {}", fault.code, fault.message));
    }
    let named =
        photo.faces.iter().filter_map(|face| face.name.as_deref().or(face.person.as_ref().map(PersonId::as_str)));
    let day = photo.date.map(|date| format!(" ({date})")).unwrap_or_default();
    let (faces, named) = (photo.faces.len(), named.collect::<Vec<_>>().join(", "));
    say(format_args!("{name}{day}: {faces} faces: {named}"))
}

fn finish(job: &JobView, is_json: bool) -> Result<()> {
    if is_json {
        say(json(job)?)?;
    } else {
        let count = |name: &str| job.counts.get(name).copied().unwrap_or(0);
        let (photos, failed) = (job.done, count("failed"));
        say(format_args!(
            "{photos} photos, {failed} failed; {} faces, {} named, {} marked",
            count("faces"),
            count("named"),
            count("marked"),
        ))?;
    }
    match job.state {
        JobState::Done if job.done > 0 && !job.counts.contains_key("recognised") => {
            Err(Error::invalid("no photo could be used").with_code("no_usable_photo"))
        }
        JobState::Done => Ok(()),
        _ => Err(Error::invalid("the job did not come to its end").with_code("job_over")),
    }
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::internal("a line cannot be written").with_source(error))
}
