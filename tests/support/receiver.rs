//! A receiver of webhooks, as somebody else would write one.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, http::StatusCode, web};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// Answers POSTs as it is told to, and remembers them.
pub(crate) struct Receiver {
    url: String,
    state: Arc<Mutex<State>>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// The statuses of the next answers; then 204.
    answers: Vec<u16>,
    received: Vec<Delivery>,
}

/// One request, and how it was answered.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) path: String,
    pub(crate) event: u64,
    pub(crate) webhook: String,
    pub(crate) status: u16,
    timestamp: String,
    signature: String,
    body: Bytes,
}

impl Delivery {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether its signature is the one of this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(self.timestamp.as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        self.signature == format!("v1={}", hex::encode(mac.finalize().into_bytes()))
    }
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state: Arc<Mutex<State>> = Arc::default();
        let (give, take) = std::sync::mpsc::channel();
        let thread = thread::spawn({
            let state = web::Data::from(Arc::clone(&state));
            move || {
                actix_web::rt::System::new().block_on(async move {
                    let app = move || App::new().app_data(state.clone()).default_service(web::to(receive));
                    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
                    give.send(server.handle()).unwrap();
                    server.await.unwrap();
                });
            }
        });
        Self { url, state, handle: take.recv().unwrap(), thread: Some(thread) }
    }

    /// The address of a path of it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Has the next requests answered so; those after them with 204.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.state.lock().unwrap().answers = statuses.to_vec();
    }

    /// All requests so far.
    pub(crate) fn received(&self) -> Vec<Delivery> {
        self.state.lock().unwrap().received.clone()
    }

    /// The events that were taken, in the order in which they were.
    pub(crate) fn taken(&self) -> Vec<u64> {
        self.received().into_iter().filter(|delivery| delivery.status == 204).map(|delivery| delivery.event).collect()
    }
}

async fn receive(request: HttpRequest, state: web::Data<Mutex<State>>, body: Bytes) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let mut state = state.lock().unwrap();
    let status = if state.answers.is_empty() { 204 } else { state.answers.remove(0) };
    let delivery = Delivery {
        path: request.path().to_owned(),
        event: header("x-rollcall-event").parse().unwrap(),
        webhook: header("x-rollcall-webhook"),
        status,
        timestamp: header("x-rollcall-timestamp"),
        signature: header("x-rollcall-signature"),
        body,
    };
    state.received.push(delivery);
    // Where a redirect would lead.
    HttpResponse::build(StatusCode::from_u16(status).unwrap()).insert_header(("location", "/elsewhere")).finish()
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // What it is asked is done without waiting for it here.
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(!matches!(ended, Some(Err(_))), "the receiver panicked");
        }
    }
}
