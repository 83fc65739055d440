//! What a setting may be.

use std::{
    fs,
    path::{self, Path},
};

use super::Settings;
use crate::{gallery::GraphOptions, runtime::disk};

/// Whether it holds, and what it says.
type Rule = (bool, &'static str);

/// The first rule that the settings break.
pub(super) fn broken(settings: &Settings) -> Option<&'static str> {
    [recognition(settings), gallery(settings), server(settings), limits(settings), work(settings)]
        .into_iter()
        .flatten()
        .find_map(|(holds, rule)| (!holds).then_some(rule))
}

fn recognition(settings: &Settings) -> Vec<Rule> {
    let in_unit = |value: f32| (0.0..=1.0).contains(&value);
    let cosine = |value: Option<f32>| value.is_none_or(|value| (-1.0..=1.0).contains(&value));
    vec![
        (in_unit(settings.detect.min_score), "detect.min_score is between 0 and 1"),
        (in_unit(settings.detect.nms_iou), "detect.nms_iou is between 0 and 1"),
        (settings.detect.long_side_px >= 64, "detect.long_side_px is at least 64"),
        (in_unit(settings.liveness.min_live), "liveness.min_live is between 0 and 1"),
        (
            [
                settings.matching.roster_threshold,
                settings.matching.gallery_threshold,
                settings.matching.margin,
                settings.matching.min_score,
            ]
            .into_iter()
            .all(cosine),
            "the thresholds of [matching] are cosines between -1 and 1",
        ),
    ]
}

fn gallery(settings: &Settings) -> Vec<Rule> {
    vec![
        (settings.gallery.idle_seconds >= 1, "gallery.idle_seconds is at least 1"),
        (
            settings.gallery.rebuild_share > 0.0 && settings.gallery.rebuild_share < 1.0,
            "gallery.rebuild_share lies between 0 and 1",
        ),
        ((0.0..=1.0).contains(&settings.gallery.referee_share), "gallery.referee_share is between 0 and 1"),
        ((0.0..=1.0).contains(&settings.gallery.recall_floor), "gallery.recall_floor is between 0 and 1"),
        (GraphOptions::M.contains(&settings.gallery.hnsw.m), "gallery.hnsw.m is between 4 and 64"),
        (
            GraphOptions::EF_CONSTRUCTION.contains(&settings.gallery.hnsw.ef_construction),
            "gallery.hnsw.ef_construction is between 16 and 2000",
        ),
        ((1..=10_000).contains(&settings.gallery.hnsw.ef_search), "gallery.hnsw.ef_search is between 1 and 10000"),
    ]
}

fn server(settings: &Settings) -> Vec<Rule> {
    vec![
        (
            settings.server.tls_certificate.as_os_str().is_empty() == settings.server.tls_key.as_os_str().is_empty(),
            "server.tls_certificate and server.tls_key are set together or not at all",
        ),
        (
            settings.server.cors_origins.are_valid(),
            "server.cors_origins are like https://school.example, without a path",
        ),
        ((1..=20_000).contains(&settings.server.max_connections), "server.max_connections is between 1 and 20000"),
        (settings.server.max_connections_per_address >= 1, "server.max_connections_per_address is at least 1"),
        (
            (1..=86_400).contains(&settings.server.keep_alive_seconds),
            "server.keep_alive_seconds is between 1 and 86400",
        ),
        ((1..=8760).contains(&settings.store.rewrite_hours), "store.rewrite_hours is between 1 and 8760"),
        ((1..=8760).contains(&settings.backup.every_hours), "backup.every_hours is between 1 and 8760"),
        ((1..=1000).contains(&settings.backup.keep), "backup.keep is between 1 and 1000"),
        (!lies_in(&settings.backup.folder, &settings.server.data), "backup.folder lies outside server.data"),
        ((1..=1440).contains(&settings.access.token_minutes), "access.token_minutes is between 1 and 1440"),
        ((1..=3650).contains(&settings.access.session_days), "access.session_days is between 1 and 3650"),
    ]
}

fn limits(settings: &Settings) -> Vec<Rule> {
    // A door that cannot hold the largest body beside one decoded photo would refuse it for ever.
    vec![
        (settings.limits.request_images >= 1, "limits.request_images is at least 1"),
        (
            [
                settings.limits.head_seconds,
                settings.limits.body_idle_seconds,
                settings.limits.body_seconds,
                settings.limits.answer_idle_seconds,
            ]
            .into_iter()
            .all(|seconds| (1..=86_400).contains(&seconds)),
            "the seconds of [limits] are between 1 and 86400",
        ),
        (settings.limits.least_bytes_per_second >= 1, "limits.least_bytes_per_second is at least 1"),
        (settings.limits.photo_faces >= 1, "limits.photo_faces is at least 1"),
        (settings.limits.image_bytes <= settings.limits.body_bytes, "limits.image_bytes is at most limits.body_bytes"),
        (
            settings.pipeline.tenant_share > 0.0 && settings.pipeline.tenant_share <= 1.0,
            "pipeline.tenant_share is over 0 and at most 1",
        ),
        (
            settings.pipeline.key_share > 0.0 && settings.pipeline.key_share <= 1.0,
            "pipeline.key_share is over 0 and at most 1",
        ),
        (
            settings.pipeline.tenant_bytes() >= settings.limits.largest_request_bytes(),
            "pipeline.budget_bytes times pipeline.tenant_share must hold limits.body_bytes and 3 bytes a pixel of limits.photo_pixels, or three quarters more than limits.body_bytes",
        ),
    ]
}

fn work(settings: &Settings) -> Vec<Rule> {
    vec![
        ((1..=36_500).contains(&settings.events.keep_days), "events.keep_days is between 1 and 36500"),
        (settings.events.max_events >= 1, "events.max_events is at least 1"),
        (settings.webhooks.max_deliveries >= 1, "webhooks.max_deliveries is at least 1"),
        (settings.webhooks.timeout_seconds >= 1, "webhooks.timeout_seconds is at least 1"),
        (settings.webhooks.retry_first_ms >= 1, "webhooks.retry_first_ms is at least 1"),
        (settings.idempotency.keep_seconds >= 1, "idempotency.keep_seconds is at least 1"),
        (
            settings.jobs.disk_reserve_bytes > disk::FILES_LEAVE,
            "jobs.disk_reserve_bytes is over 67108864, which kept photos leave free",
        ),
        (
            settings.jobs.tenant_share > 0.0 && settings.jobs.tenant_share <= 1.0,
            "jobs.tenant_share is over 0 and at most 1",
        ),
        (settings.jobs.max_entries >= 1, "jobs.max_entries is at least 1"),
        ((1..=3650).contains(&settings.jobs.keep_days), "jobs.keep_days is between 1 and 3650"),
    ]
}

/// Whether one path lies in another, each as it may be written from where the program was started. None is no path.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).or_else(|_| path::absolute(path)).ok();
    let pair = whole(path).zip(whole(folder));
    !path.as_os_str().is_empty() && pair.is_none_or(|(path, folder)| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_never_lie_in_the_data_folder_however_either_is_written() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        fs::create_dir_all(data.join("bak")).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(data.join("bak"), &link).unwrap();
        let of = |folder: &Path| {
            let flags = [("server.data", &*data), ("backup.folder", folder)];
            let flags = flags.map(|(key, path)| (key, path.to_str().unwrap().to_owned()));
            Settings::load(None, &flags).is_ok()
        };
        let apart = place.path().join("bak");
        fs::create_dir(&apart).unwrap();
        assert!(of(&apart) && of(Path::new("")));
        for inside in [&*data, &data.join("bak"), &data.join("../data/bak"), &data.join("none"), &link] {
            assert!(!of(inside), "{}", inside.display());
        }
        assert!(lies_in(Path::new("./some/bak"), Path::new("some")) && !lies_in(Path::new("bak"), Path::new("data")));
    }
}
