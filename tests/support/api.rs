//! The client.

use bytes::Bytes;
use reqwest::{
    Certificate, Client, Method, RequestBuilder,
    header::HeaderMap,
    multipart::{Form, Part},
};
use serde_json::Value;

use super::description;

/// Speaks to one server with one key.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: String,
    key: Option<String>,
}

impl Api {
    pub(crate) fn new(url: String, key: String) -> Self {
        Self::over(url, key, Vec::new())
    }

    /// The same, trusting a server of these certificates.
    pub(crate) fn over(url: String, key: String, certificates: Vec<Certificate>) -> Self {
        // Clients of plain HTTP want to know as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        // Kept-alive connections would make every stop of a server wait for them.
        let client =
            Client::builder().pool_max_idle_per_host(0).no_proxy().tls_certs_only(certificates).build().unwrap();
        Self { client, url, key: Some(key) }
    }

    /// The same server with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same server without a key.
    pub(crate) fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// A request to be sent with [`Answer::to`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(method, path).json(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn post_form(&self, path: &str, form: Form) -> Answer {
        Answer::to(self.request(Method::POST, path).multipart(form)).await
    }

    pub(crate) async fn put_form(&self, path: &str, form: Form) -> Answer {
        Answer::to(self.request(Method::PUT, path).multipart(form)).await
    }
}

/// A multipart body: text fields, and images under `images`.
pub(crate) fn form(fields: &[(&str, &str)], images: &[&[u8]]) -> Form {
    let mut form = Form::new();
    for &(name, value) in fields {
        form = form.text(name.to_owned(), value.to_owned());
    }
    for image in images {
        form = form.part("images", Part::bytes(image.to_vec()).file_name("photo.jpg"));
    }
    form
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// Sends a request, and holds the answer to the API's description.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Self { status, headers, bytes: response.bytes().await.expect("the answer is whole") };
        description::check(&method, &path, &answer);
        answer
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.to_vec()).expect("the answer is text")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// The status and the code of an error.
    pub(crate) fn problem(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
