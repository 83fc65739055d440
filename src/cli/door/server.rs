//! The door of a command beside a running server: HTTP by the socket in the data folder, with the key that lies there.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use indicatif::ProgressBar;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::RETRY_AFTER,
    multipart::{Form, Part},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::sleep;

use super::Recognize;
use crate::{
    app,
    domain::{GroupId, JobId, PersonId},
    error::{Error, ErrorKind, Result},
    runtime::LocalSocket,
    service::{
        attendance::groups::NewGroup,
        jobs::{ItemView, JobResults, JobView},
        people::{
            enrol::{Enrolled, FacesAdded, MoreFaces, NewPerson},
            person::PersonView,
        },
        recognition::{
            calibration::{CalibrationParams, CalibrationReport},
            gallery::{GalleryCheckPage, GalleryCheckParams},
            recognize::{IdentifyParams, Recognition, RecognizeParams},
        },
    },
};

/// How long a live server may take to say so.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Reports a page.
const RESULTS: usize = 1000;

/// See the module.
pub(in crate::cli) struct Server {
    client: Client,
    api: Url,
    key: String,
    /// Where the server is on this data folder: its path lasts as long.
    _socket: Option<LocalSocket>,
}

/// Where the key for a running server is found.
pub(in crate::cli) struct KeyFile<'a> {
    /// What the command was given.
    pub(in crate::cli) given: Option<&'a str>,
    /// The file to look into otherwise.
    pub(in crate::cli) path: PathBuf,
}

impl KeyFile<'_> {
    fn read(&self) -> Result<String> {
        if let Some(key) = self.given {
            return Ok(key.to_owned());
        }
        fs::read_to_string(&self.path).map(|key| key.trim().to_owned()).map_err(|error| {
            let message = format!("no key for the running server: give --key, or put it into {}", self.path.display());
            Error::invalid(message).with_code("no_key").with_source(error)
        })
    }
}

/// The envelope of every error.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: String,
    message: String,
    details: Option<Value>,
}

impl Server {
    /// The server that runs on the data folder, if one does.
    ///
    /// # Errors
    /// `Invalid` `untrusted_socket` where somebody else could be at its socket, `no_key` if a server answers and there is
    /// no key for it.
    pub(in crate::cli) async fn find(data: &Path, key: &KeyFile<'_>) -> Result<Option<Self>> {
        let folder = app::local_folder(data);
        let socket = LocalSocket::find(&folder).map_err(|error| {
            let message =
                format!("{} can be entered by others, or is not yours: nothing is sent there", folder.display());
            Error::invalid(message).with_code("untrusted_socket").with_source(error)
        })?;
        let Some(socket) = socket else { return Ok(None) };
        let client = client(Some(&socket))?;
        let url = |path: &str| {
            Url::parse(&format!("http://localhost{path}"))
                .map_err(|error| Error::internal("the socket has no address").with_source(error))
        };
        // Nobody listens where a server was killed.
        if client.get(url("/health/live")?).timeout(SIGN_OF_LIFE).send().await.is_err() {
            return Ok(None);
        }
        Ok(Some(Self { client, api: url("/api/v1")?, key: key.read()?, _socket: Some(socket) }))
    }

    /// The server at an address of the form `http://HOST:PORT`, whether it answers or not.
    ///
    /// # Errors
    /// `Invalid` if that is no such address, or if there is no key.
    pub(in crate::cli) fn at(url: &str, key: &KeyFile<'_>) -> Result<Self> {
        let bad = || Error::invalid("the server's address looks like http://127.0.0.1:8080").with_code("invalid_url");
        let mut api = Url::parse(url).ok().filter(|url| url.scheme() == "http").ok_or_else(bad)?;
        api.path_segments_mut().map_err(|()| bad())?.pop_if_empty().extend(["api", "v1"]);
        Ok(Self { client: client(None)?, api, key: key.read()?, _socket: None })
    }

    pub(super) async fn create_group(&self, new: &NewGroup) -> Result<()> {
        let request = self.request(Method::POST, &["groups"])?.json(new);
        answer::<Value>(request).await.map(drop)
    }

    pub(super) async fn person(&self, id: &PersonId) -> Result<PersonView> {
        self.get(&["people", id.as_str()]).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, route: &[&str]) -> Result<T> {
        answer(self.request(Method::GET, route)?).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, route: &[&str], body: &impl Serialize) -> Result<T> {
        answer(self.request(Method::POST, route)?.json(body)).await
    }

    pub(super) async fn patch<T: DeserializeOwned>(&self, route: &[&str], body: &impl Serialize) -> Result<T> {
        answer(self.request(Method::PATCH, route)?.json(body)).await
    }

    /// The page of a list that follows the id `after`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        route: &[&str],
        after: Option<&impl Display>,
        limit: usize,
    ) -> Result<T> {
        let mut request = self.request(Method::GET, route)?.query(&[("limit", limit.to_string())]);
        if let Some(after) = after {
            request = request.query(&[("after", after.to_string())]);
        }
        answer(request).await
    }

    /// Sends whole files, each in its field, together with `params`, to a route that starts a job.
    pub(in crate::cli) async fn start_job(
        &self,
        route: &[&str],
        params: &impl Serialize,
        files: &[(&'static str, &Path)],
    ) -> Result<JobId> {
        let mut form = Form::new();
        for (name, text) in text_fields(params)? {
            form = form.text(name, text);
        }
        for (index, (field, path)) in files.iter().enumerate() {
            let part = Part::file(path).await.map_err(|error| {
                Error::invalid(format!("{} cannot be read", path.display())).with_code("unreadable").with_source(error)
            })?;
            // The file's own name stays here: it may be a person's.
            form = form.part(*field, part.file_name(index.to_string()));
        }
        let started: JobView = answer(self.request(Method::POST, route)?.multipart(form)).await?;
        Ok(started.id)
    }

    /// Waits for the end of a job, and shows on `bar` how it comes on.
    pub(in crate::cli) async fn watch_job(&self, job: &JobId, bar: &ProgressBar) -> Result<JobView> {
        loop {
            let now: JobView = self.get(&["jobs", &job.to_string()]).await?;
            bar.set_length(now.total);
            bar.set_position(now.done);
            if !now.state.is_open() {
                return Ok(now);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// All reports of a job.
    pub(in crate::cli) async fn job_results(&self, job: &JobId) -> Result<Vec<ItemView>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page: JobResults = self.page(&["jobs", &job.to_string(), "results"], after.as_ref(), RESULTS).await?;
            all.extend(page.results);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    pub(super) async fn enrol(&self, new: &NewPerson, images: &[Bytes]) -> Result<Enrolled> {
        self.upload(Method::POST, &["people"], new, images).await
    }

    pub(super) async fn replace_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<Enrolled> {
        self.upload(Method::PUT, &["people", person.as_str(), "faces"], &MoreFaces::default(), images).await
    }

    pub(super) async fn add_faces(&self, person: &PersonId, images: &[Bytes]) -> Result<FacesAdded> {
        self.upload(Method::POST, &["people", person.as_str(), "faces"], &MoreFaces::default(), images).await
    }

    pub(super) async fn add_member(&self, group: &GroupId, person: &PersonId) -> Result<()> {
        answer(self.request(Method::PUT, &["groups", group.as_str(), "people", person.as_str()])?).await
    }

    pub(super) async fn check_gallery(&self, params: &GalleryCheckParams) -> Result<GalleryCheckPage> {
        answer(self.request(Method::POST, &["gallery", "check"])?.json(params)).await
    }

    pub(super) async fn calibrate(&self, params: &CalibrationParams) -> Result<CalibrationReport> {
        answer(self.request(Method::GET, &["reports", "calibration"])?.query(params)).await
    }

    pub(super) async fn recognize(&self, wanted: &Recognize, photo: &Bytes) -> Result<Recognition> {
        let images = std::slice::from_ref(photo);
        match &wanted.group {
            Some(group) => {
                let route = ["groups", group.as_str(), "recognize"];
                self.upload(Method::POST, &route, &RecognizeParams::from(wanted), images).await
            }
            None => self.upload(Method::POST, &["identify"], &IdentifyParams::from(wanted), images).await,
        }
    }

    /// The body of a route's answer, piece by piece.
    pub(super) async fn download(
        &self,
        route: &[&str],
        query: &[(&str, &str)],
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let response = self.request(Method::GET, route)?.query(query).send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(status, &response.bytes().await.map_err(lost)?));
        }
        let next = |mut response: Response| async move {
            Ok(response.chunk().await.map_err(lost)?.map(|piece| (piece, response)))
        };
        Ok(stream::try_unfold(response, next).boxed())
    }

    /// A request to a route below `/api/v1`; each segment is percent-encoded, so that an id may hold a slash.
    fn request(&self, method: Method, route: &[&str]) -> Result<RequestBuilder> {
        let mut url = self.api.clone();
        url.path_segments_mut().map_err(|()| Error::internal("the server's address has no path"))?.extend(route);
        Ok(self.client.request(method, url).bearer_auth(&self.key))
    }

    /// Sends images from memory together with `params`.
    pub(in crate::cli) async fn upload<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &[&str],
        params: &impl Serialize,
        images: &[Bytes],
    ) -> Result<T> {
        answer(self.form(method, route, params, images)?).await
    }

    /// The same with the answer read to its end and thrown away; its status, or `None` if the connection was lost.
    pub(in crate::cli) async fn upload_status(
        &self,
        method: Method,
        route: &[&str],
        params: &impl Serialize,
        images: &[Bytes],
    ) -> Result<Option<StatusCode>> {
        let Ok(response) = self.form(method, route, params, images)?.send().await else { return Ok(None) };
        let status = response.status();
        Ok(response.bytes().await.is_ok().then_some(status))
    }

    fn form(
        &self,
        method: Method,
        route: &[&str],
        params: &impl Serialize,
        images: &[Bytes],
    ) -> Result<RequestBuilder> {
        let mut form = Form::new();
        for (name, text) in text_fields(params)? {
            form = form.text(name, text);
        }
        for (index, image) in images.iter().enumerate() {
            // The file's own name stays here: it may be a person's.
            form = form.part("images", Part::stream(image.clone()).file_name(index.to_string()));
        }
        Ok(self.request(method, route)?.multipart(form))
    }
}

/// Connects by the socket of this data folder, or to any address in plain HTTP, never through a proxy.
fn client(socket: Option<&LocalSocket>) -> Result<Client> {
    let failed = "cannot make HTTP requests";
    // No authority is trusted, as no TLS is spoken.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal(failed).with_source(error))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut builder = Client::builder().no_proxy().tls_backend_preconfigured(tls);
    if let Some(socket) = socket {
        builder = builder.unix_socket(socket.path());
    }
    builder.build().map_err(|error| Error::internal(failed).with_source(error))
}

/// A struct as the text fields of a form: what is missing is left out, a list is a repeated field.
fn text_fields(params: &impl Serialize) -> Result<Vec<(String, String)>> {
    let unwritable = |error| Error::internal("the request cannot be written").with_source(error);
    let Value::Object(fields) = serde_json::to_value(params).map_err(unwritable)? else {
        return Err(Error::internal("the request is not a list of fields"));
    };
    let values = |value: Value| match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let repeated = |(name, value)| values(value).into_iter().map(move |value| (String::clone(&name), text(value)));
    Ok(fields.into_iter().flat_map(repeated).collect())
}

/// Sends a request and reads its answer.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let response = request.send().await.map_err(lost)?;
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(lost)?;
    if !status.is_success() {
        let refusal = refusal(status, &body);
        return Err(wait.map(Duration::from_secs).into_iter().fold(refusal, Error::with_retry_after));
    }
    let body: &[u8] = if body.is_empty() { b"null" } else { &body };
    serde_json::from_slice(body)
        .map_err(|error| Error::internal("the server's answer cannot be understood").with_source(error))
}

fn lost(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to the server was lost").with_source(error.without_url())
}

/// The server's error with its own code and message, and its details for the command to act on.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    let kind = match status {
        StatusCode::BAD_REQUEST => ErrorKind::Invalid,
        StatusCode::UNAUTHORIZED => ErrorKind::Unauthenticated,
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::CONFLICT => ErrorKind::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorKind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorKind::Unsupported,
        StatusCode::UNPROCESSABLE_ENTITY => ErrorKind::Unprocessable,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Overloaded,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable,
        StatusCode::INSUFFICIENT_STORAGE => ErrorKind::Full,
        _ => ErrorKind::Internal,
    };
    match serde_json::from_slice::<ErrorAnswer>(body) {
        Ok(ErrorAnswer { error: ErrorDetail { code, message, details } }) => {
            let error = Error::new(kind, format!("the server says {code}: {message}"));
            details.into_iter().fold(error, Error::with_details)
        }
        Err(_) => Error::new(kind, format!("the server answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::request::FaceChoice;

    #[test]
    fn a_form_leaves_out_what_is_missing_and_repeats_lists() {
        let new = NewPerson {
            id: None,
            name: "Zoë".into(),
            email: None,
            consent: None,
            metadata: [("seat".to_owned(), Some("3".to_owned()))].into(),
            groups: vec!["a/1".parse().unwrap(), "b".parse().unwrap()],
            faces: FaceChoice::One,
            quality: None,
            duplicates: None,
        };
        let mut fields = text_fields(&new).unwrap();
        fields.sort();
        let expected =
            [("faces", "one"), ("groups", "a/1"), ("groups", "b"), ("metadata", "{\"seat\":\"3\"}"), ("name", "Zoë")];
        assert_eq!(fields, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn an_address_may_end_in_a_slash_and_must_be_plain_http() {
        let key = KeyFile { given: Some("k"), path: PathBuf::new() };
        let at = |url| Server::at(url, &key);
        for url in ["http://host:81", "http://host:81/"] {
            assert_eq!(at(url).unwrap().api.as_str(), "http://host:81/api/v1");
        }
        assert_eq!(at("http://host/rollcall/").unwrap().api.as_str(), "http://host/rollcall/api/v1");
        for url in ["host:81", "https://host", "mailto:host", ""] {
            assert_eq!(at(url).err().unwrap().code(), "invalid_url", "{url}");
        }
    }

    #[test]
    fn a_refusal_keeps_code_message_and_details() {
        let body =
            br#"{"error":{"code":"no_usable_image","message":"none","details":{"rejected":[]}},"request_id":""}"#;
        let error = refusal(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(error.kind(), ErrorKind::Unprocessable);
        assert_eq!(error.message(), "the server says no_usable_image: none");
        assert_eq!(super::super::rejected_images(&error), Some(Vec::new()));
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html>").message(), "the server answers 502 Bad Gateway");
    }
}
