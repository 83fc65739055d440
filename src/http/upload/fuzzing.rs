//! What fuzzing asks of bodies.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::{
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use actix_web::{
    dev::Payload,
    http::header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::{json, meter::Meter, multipart};
use crate::{
    config::{Limits, Settings},
    error::{ErrorKind, Result},
    pipeline::messages::EncodedImage,
    runtime::{BudgetLimits, ByteBudget, ServiceClass, Turn},
    service::recognition::recognize::RecognizeParams,
};

/// Small, so that short inputs cross them.
const IMAGE_BYTES: u64 = 512;
const REQUEST_IMAGES: usize = 3;
const BODY_BYTES: u64 = 8 << 10;
const BUDGET_BYTES: u64 = 1 << 20;

/// What `multipart/form-data` with the boundary `x` says does not depend on where the network cut it, holds to the limits,
/// and holds as much of the budget as the images have bytes. The first byte says how long the pieces are.
pub fn multipart(bytes: &[u8]) {
    let Some((&step, body)) = bytes.split_first() else { return };
    let whole = read_multipart(body, body.len().max(1));
    let in_pieces = read_multipart(body, usize::from(step).max(1));
    assert_eq!(whole, in_pieces, "in pieces of {step}");
}

/// What comes of a future for which all is there: if it waits without having woken anybody, it would wait for ever.
fn finished<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(woken.0.swap(false, Ordering::Relaxed), "it waits, and the whole body is there");
    }
}

/// Whether somebody was woken since it was asked.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The images and the settings, unless the body is refused.
fn read_multipart(body: &[u8], step: usize) -> Option<(Vec<Bytes>, String)> {
    let (budget, limits) = (budget(), limits());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=x"));
    let meter = Meter::admit(&headers, &budget, &somebody(), BODY_BYTES).expect("nobody else takes of the budget");
    let pieces: Vec<_> = body.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let pieces: Payload = Payload::from(stream::iter(pieces).boxed_local());
    let outcome = finished(multipart::read::<RecognizeParams>(&headers, meter.stream(pieces), &meter, &limits));
    drop(meter);
    let said = outcome.map(|(images, params)| {
        check_images(&images, &budget);
        (images.into_iter().map(|image| image.bytes).collect(), format!("{params:?}"))
    });
    assert_eq!(budget.used(), 0, "memory was not given back");
    unless_refused(said)
}

/// What a JSON body says holds to the limits, holds as much of the budget as the images have bytes, and is said again by
/// a body that is made of it.
pub fn json(bytes: &[u8]) {
    let Some((images, settings)) = take_apart(bytes) else { return };
    let mut again = settings.clone();
    let encoded = |bytes: &Bytes| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes).into();
    again.insert("images".to_owned(), Value::Array(images.iter().map(encoded).collect()));
    let again = serde_json::to_vec(&again).expect("a map with texts as keys is written");
    let again = take_apart(&again).expect("a body is made of what one said");
    assert_eq!(again.0, images);
    assert!(is_same(&Value::Object(again.1), &Value::Object(settings)));
}

/// Whether a value is another; of a number that is no integer the last digit may differ, as it is read and written fast.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= 4.0 * f64::EPSILON * one.abs()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(key, value): (&String, &Value)| other.get(key).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        _ => one == other,
    }
}

fn take_apart(text: &[u8]) -> Option<(Vec<Bytes>, Map<String, Value>)> {
    let budget = budget();
    let held = budget.try_reserve(&somebody(), 0).expect("nobody else takes of the budget");
    let body = json::Body::new(Bytes::copy_from_slice(text), held, budget.clone(), somebody(), &limits());
    let said = body.take_apart().map(|(images, settings)| {
        check_images(&images, &budget);
        (images.into_iter().map(|image| image.bytes).collect(), settings)
    });
    assert_eq!(budget.used(), 0, "memory was not given back");
    unless_refused(said)
}

/// Whoever sends a body is told what is wrong with it; there is nothing that could be wrong here.
fn unless_refused<T>(said: Result<T>) -> Option<T> {
    said.map_err(|error| assert!([ErrorKind::Invalid, ErrorKind::TooLarge].contains(&error.kind()), "{error:?}")).ok()
}

/// The images of a request are few and small, and their memory is held.
fn check_images(images: &[EncodedImage], budget: &ByteBudget) {
    assert!(images.len() <= REQUEST_IMAGES);
    for image in images {
        assert!(image.bytes.len() as u64 <= IMAGE_BYTES);
        assert_eq!(image.held.bytes(), image.bytes.len() as u64);
    }
    assert_eq!(budget.used(), images.iter().map(|image| image.held.bytes()).sum::<u64>());
}

fn somebody() -> Turn {
    Turn::new(ServiceClass::Interactive, "tenant")
}

fn budget() -> ByteBudget {
    ByteBudget::new(BudgetLimits { total: BUDGET_BYTES, per_key: BUDGET_BYTES, per_holder: BUDGET_BYTES })
}

fn limits() -> Limits {
    static USUAL: LazyLock<Limits> = LazyLock::new(|| Settings::load(None, &[]).expect("the defaults are good").limits);
    Limits { image_bytes: IMAGE_BYTES, request_images: REQUEST_IMAGES, body_bytes: BODY_BYTES, ..USUAL.clone() }
}
