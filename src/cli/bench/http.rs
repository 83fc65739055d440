//! `rollcall bench http`: a running server under load. People who wait for one portrait and jobs that work off class
//! photos, at the same time, each client on a connection that stays open and with one request under way.
//!
//! Clients are closed loops: the next request leaves when the last one is answered, or `--pause-ms` later. Nobody is
//! marked present.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args;
use futures_util::future::{join, try_join_all};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    super::{Common, TenantArgs, door::Server},
    read_file, report, round,
};
use crate::{
    domain::GroupId,
    error::{Error, Result},
    service::recognition::recognize::{RecognizeParams, RequestClass},
};

/// How long a client that was told to come back waits: as long as the server's `Retry-After` says.
const COME_BACK_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct HttpArgs {
    /// Portraits: the interactive clients post one after another to /detect, or with --group to its /recognize.
    #[arg(required_unless_present = "bulk_photos", value_name = "FILE")]
    portraits: Vec<PathBuf>,
    /// Interactive clients, if there are portraits.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// How long an interactive client thinks between an answer and its next request, in milliseconds. Without, the server
    /// knows that more will come at once.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pause_ms: u64,
    /// Class photos: the bulk clients post one after another to the group's /recognize with class=bulk.
    #[arg(long, num_args = 1.., requires = "group", value_name = "FILE")]
    bulk_photos: Vec<PathBuf>,
    /// Bulk clients, if there are class photos.
    #[arg(long, default_value_t = 1, requires = "bulk_photos", value_parser = clap::value_parser!(u16).range(1..))]
    bulk_clients: u16,
    /// The group that is looked for.
    #[arg(long)]
    group: Option<GroupId>,
    /// How long new requests leave.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// The server, http://HOST:PORT [default: the one that runs on the data folder].
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    tenant: TenantArgs,
}

#[derive(Serialize)]
struct Line {
    what: &'static str,
    class: RequestClass,
    clients: u16,
    /// Requests that were answered or lost.
    requests: usize,
    requests_per_s: f64,
    /// Photos of the requests that succeeded.
    photos_per_s: f64,
    /// Requests that failed, by status; `lost` where the connection broke.
    errors: BTreeMap<String, usize>,
    /// Of the requests that succeeded.
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// One class of clients and what they post.
struct Load {
    class: RequestClass,
    clients: u16,
    pause: Duration,
    route: Vec<String>,
    params: Value,
    photos: Vec<Bytes>,
}

/// What a client met with.
#[derive(Debug, Default)]
struct Tally {
    /// Milliseconds of the requests that succeeded.
    succeeded_ms: Vec<f64>,
    failed: BTreeMap<String, usize>,
}

/// At most a day, which any clock can add.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("not a number above 0 and up to 86400".into()),
    }
}

pub(super) fn run(common: &Common, args: &HttpArgs) -> Result<()> {
    let data = common.settings()?.server.data;
    let interactive = Load::new(args, RequestClass::Interactive, &args.portraits, args.clients)?;
    let bulk = Load::new(args, RequestClass::Bulk, &args.bulk_photos, args.bulk_clients)?;
    actix::System::new().block_on(async {
        let server = match &args.url {
            Some(url) => Server::at(url, &args.tenant.key_file(&data))?,
            None => Server::find(&data, &args.tenant.key_file(&data)).await?.ok_or_else(|| {
                Error::invalid("no server runs on the data folder: start one, or give --url").with_code("no_server")
            })?,
        };
        interactive.warm_up(&server).await?;
        bulk.warm_up(&server).await?;
        let time = Duration::from_secs_f64(args.seconds);
        let (interactive, bulk) = join(interactive.drive(&server, time), bulk.drive(&server, time)).await;
        [interactive?, bulk?].iter().flatten().try_for_each(report)
    })
}

impl Load {
    fn new(args: &HttpArgs, class: RequestClass, files: &[PathBuf], clients: u16) -> Result<Self> {
        let photos = files.iter().map(|file| read_file(file).map(Bytes::from)).collect::<Result<_>>()?;
        let (route, params) = match &args.group {
            Some(group) => {
                let params = RecognizeParams { mark: Some(false), class: Some(class), ..RecognizeParams::default() };
                (vec!["groups".into(), group.to_string(), "recognize".into()], json!(params))
            }
            None => (vec!["detect".into()], json!({})),
        };
        let pause = match class {
            RequestClass::Interactive => Duration::from_millis(args.pause_ms),
            RequestClass::Bulk => Duration::ZERO,
        };
        Ok(Self { class, clients, pause, route, params, photos })
    }

    fn route(&self) -> Vec<&str> {
        self.route.iter().map(String::as_str).collect()
    }

    /// Posts one photo: what the server refuses without any load is an error of the command.
    async fn warm_up(&self, server: &Server) -> Result<()> {
        let one = &self.photos[..self.photos.len().min(1)];
        if !one.is_empty() {
            server.upload::<Value>(Method::POST, &self.route(), &self.params, one).await?;
        }
        Ok(())
    }

    /// All clients at once; `None` where there is nothing to post.
    async fn drive(&self, server: &Server, time: Duration) -> Result<Option<Line>> {
        if self.photos.is_empty() {
            return Ok(None);
        }
        let start = Instant::now();
        let clients = (0..self.clients as usize).map(|client| self.client(server, client, start + time));
        let mut all = Tally::default();
        for tally in try_join_all(clients).await? {
            all.add(tally);
        }
        // Requests that were under way when the time was up are counted, and so is the time they took.
        Ok(Some(self.line(all, start.elapsed())))
    }

    /// One client, until it may send no more; each client starts with another photo.
    async fn client(&self, server: &Server, first: usize, until: Instant) -> Result<Tally> {
        let (route, mut tally) = (self.route(), Tally::default());
        for photo in self.photos.iter().cycle().skip(first % self.photos.len()) {
            let start = Instant::now();
            if start >= until {
                break;
            }
            let photo = std::slice::from_ref(photo);
            let status = server.upload_status(Method::POST, &route, &self.params, photo).await?;
            let wait = if status.is_some_and(|status| status.is_success()) {
                tally.succeeded_ms.push(start.elapsed().as_secs_f64() * 1e3);
                self.pause
            } else {
                tally.count_failure(status);
                COME_BACK_AFTER
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(until.saturating_duration_since(Instant::now()))).await;
            }
        }
        Ok(tally)
    }

    fn line(&self, mut tally: Tally, took: Duration) -> Line {
        tally.succeeded_ms.sort_by(f64::total_cmp);
        let succeeded = tally.succeeded_ms.len();
        let requests = succeeded + tally.failed.values().sum::<usize>();
        let per_second = |count: usize| round(count as f64 / took.as_secs_f64(), 2);
        let at = |percent| percentile(&tally.succeeded_ms, percent).map(|milliseconds| round(milliseconds, 3));
        Line {
            what: "http",
            class: self.class,
            clients: self.clients,
            requests,
            requests_per_s: per_second(requests),
            photos_per_s: per_second(succeeded),
            p50_ms: at(50),
            p95_ms: at(95),
            p99_ms: at(99),
            errors: tally.failed,
        }
    }
}

impl Tally {
    fn count_failure(&mut self, status: Option<StatusCode>) {
        let name = status.map_or_else(|| "lost".to_owned(), |status| status.as_u16().to_string());
        *self.failed.entry(name).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        self.succeeded_ms.extend(other.succeeded_ms);
        for (status, count) in other.failed {
            *self.failed.entry(status).or_default() += count;
        }
    }
}

/// The nearest rank: the least number that is not exceeded by `percent` of the sorted numbers.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (sorted, percent, expected) in [
            (&hundred[..], 50, Some(50.0)),
            (&hundred, 99, Some(99.0)),
            (&hundred[..10], 95, Some(10.0)),
            (&hundred[..1], 50, Some(1.0)),
            (&[], 99, None),
        ] {
            assert_eq!(percentile(sorted, percent), expected, "p{percent} of {}", sorted.len());
        }
    }

    #[test]
    fn failures_are_kept_apart_from_the_times() {
        let mut all = Tally { succeeded_ms: vec![30.0, 10.0], ..Tally::default() };
        let mut other = Tally::default();
        other.count_failure(Some(StatusCode::TOO_MANY_REQUESTS));
        other.count_failure(None);
        all.count_failure(Some(StatusCode::TOO_MANY_REQUESTS));
        all.add(other);
        let load = Load {
            class: RequestClass::Bulk,
            clients: 2,
            pause: Duration::ZERO,
            route: Vec::new(),
            params: Value::Null,
            photos: Vec::new(),
        };
        let line = json!(load.line(all, Duration::from_secs(2)));
        assert_eq!(line["errors"], json!({ "429": 2, "lost": 1 }));
        assert_eq!(
            (&line["requests"], &line["requests_per_s"], &line["photos_per_s"]),
            (&json!(5), &json!(2.5), &json!(1.0))
        );
        assert_eq!((&line["p50_ms"], &line["p99_ms"], &line["class"]), (&json!(10.0), &json!(30.0), &json!("bulk")));
    }
}
