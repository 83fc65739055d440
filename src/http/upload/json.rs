//! JSON: the images as base64, the settings as the other keys. The text is taken apart in place: images stay where
//! they are until they are decoded, and of what else a client sends only little becomes values.

use std::{borrow::Cow, fmt};

use actix_web::error::PayloadError;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use futures_util::Stream;
use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use super::{
    IMAGES, MAX_SETTINGS_BYTES, MAX_TEXT_BYTES, check_count, check_image, field_too_large, gathering::whole,
    meter::Meter, takes_no_file,
};
use crate::{
    config::Limits,
    error::{Error, Result},
    http::state::ApiState,
    pipeline::{full, messages::EncodedImage},
    runtime::{ByteBudget, CancelToken, JobSpec, Reservation, Turn},
};

/// The most keys beside `images`.
const MAX_SETTINGS: usize = 32;
/// Base64 whether it is padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The images and settings of a body whose bytes `meter` counts.
pub(super) async fn read<P: DeserializeOwned>(
    chunks: impl Stream<Item = Result<Bytes, PayloadError>>,
    meter: &Meter,
    state: &ApiState,
    turn: Turn,
) -> Result<(Vec<EncodedImage>, P)> {
    let (text, held) = whole(chunks, meter).await?;
    let budget = state.services.pipeline().tools().budget.clone();
    let body = Body::new(text, held, budget, turn.clone(), &state.limits);
    // A large body takes long enough to stall whoever shares the HTTP thread.
    let job = JobSpec { turn, stage: "upload", stage_rank: 0, cancel: CancelToken::default() };
    let pool = &state.services.pipeline().tools().pool;
    let (images, settings) = pool.run(job, move || body.take_apart()).await?.value?;
    let params = serde_json::from_value(Value::Object(settings)).map_err(|error| unreadable(&error))?;
    Ok((images, params))
}

/// A whole body and its memory.
pub(super) struct Body {
    text: Bytes,
    _held: Reservation,
    budget: ByteBudget,
    /// In whose share of the budget its images are.
    turn: Turn,
    limits: Limits,
}

impl Body {
    pub(super) fn new(text: Bytes, held: Reservation, budget: ByteBudget, turn: Turn, limits: &Limits) -> Self {
        Self { text, _held: held, budget, turn, limits: limits.clone() }
    }

    pub(super) fn take_apart(&self) -> Result<(Vec<EncodedImage>, Map<String, Value>)> {
        let Fields { images, settings } = fields(&self.text, &self.limits)?;
        let images = images.into_iter().enumerate().map(|(index, image)| self.decode(index, image));
        Ok((images.collect::<Result<_>>()?, settings))
    }

    fn decode(&self, index: usize, image: &RawValue) -> Result<EncodedImage> {
        let quoted = image.get();
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner =
            inner.ok_or_else(|| Error::invalid(format!("image {index} is not a string")).with_code("invalid_json"))?;
        // Some encoders write `/` as `\/`; only then a second text is needed.
        let (text, _unescaped) = if inner.contains('\\') {
            let held = self.reserve(inner.len())?;
            (Cow::Owned(serde_json::from_str(quoted).map_err(|error| unreadable(&error))?), Some(held))
        } else {
            (Cow::Borrowed(inner), None)
        };
        let base64 = strip_data_url(&text);
        let (base64, _plain) = if base64.bytes().all(is_plain) {
            (Cow::Borrowed(base64), None)
        } else {
            let held = self.reserve(base64.len())?;
            (Cow::Owned(plain(base64)), Some(held))
        };
        let bytes = decoded_bytes(&base64);
        check_image(bytes, &self.limits)?;
        // The decoded copy stands beside the text for a moment; both are accounted for.
        let held = self.reserve(bytes)?;
        let decoded = BASE64
            .decode(base64.as_bytes())
            .map_err(|_| Error::invalid(format!("image {index} is not base64")).with_code("invalid_base64"))?;
        Ok(EncodedImage { bytes: decoded.into(), held })
    }

    fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.budget.try_reserve(&self.turn, bytes as u64).map_err(full)
    }
}

/// Browsers hand out `data:image/jpeg;base64,…`.
fn strip_data_url(text: &str) -> &str {
    match text.split_once(',') {
        Some((head, base64)) if begins(head, "data:") && ends(head, ";base64") => base64,
        _ => text,
    }
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn ends(text: &str, with: &str) -> bool {
    text.len().checked_sub(with.len()).and_then(|at| text.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(with))
}

/// Whether a character stands in base64 of the usual alphabet and in one line.
const fn is_plain(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b'-' | b'_')
}

/// Base64 that is broken into lines, or of the alphabet for addresses, in one line and the usual alphabet.
fn plain(base64: &str) -> String {
    let plain = |c: char| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    base64.chars().filter(|c| !c.is_ascii_whitespace()).map(plain).collect()
}

/// The length of what base64 stands for.
fn decoded_bytes(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::unreadable("the JSON body", error).with_code("invalid_json")
}

/// A body's object: `images` borrowed from the text, everything else as values.
struct Fields<'a> {
    images: Vec<&'a RawValue>,
    settings: Map<String, Value>,
}

/// Whether a text is an object or a list, as far as its first character tells. serde's errors quote the whole of a string
/// that stands in their place.
fn begins_with(text: &[u8], first: u8) -> bool {
    text.trim_ascii_start().first() == Some(&first)
}

/// Whether a text in a value is longer than any setting: a photo under a wrong name, or inside of something.
fn has_long_text(value: &str) -> bool {
    value.split('"').skip(1).step_by(2).any(|text| text.len() > MAX_TEXT_BYTES)
}

fn fields<'a>(text: &'a [u8], limits: &Limits) -> Result<Fields<'a>> {
    if !begins_with(text, b'{') {
        return Err(Error::invalid("the JSON body is not an object").with_code("invalid_json"));
    }
    let mut refusal = None;
    let mut json = serde_json::Deserializer::from_slice(text);
    let fields = FieldsVisitor { limits, refusal: &mut refusal }.deserialize(&mut json);
    let whole = fields.and_then(|fields| json.end().map(|()| fields));
    whole.map_err(|error| refusal.unwrap_or_else(|| unreadable(&error)))
}

/// Reads [`Fields`]. A limit that is crossed ends the reading at once and is left in `refusal`, since serde's errors
/// are text.
struct FieldsVisitor<'l> {
    limits: &'l Limits,
    refusal: &'l mut Option<Error>,
}

fn refuse<E: de::Error>(refusal: &mut Option<Error>, error: Error) -> E {
    *refusal = Some(error);
    E::custom("over a limit")
}

impl<'de> DeserializeSeed<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let twice = || de::Error::custom("a key is there twice");
        let Self { limits, refusal } = self;
        let (mut images, mut settings, mut settings_bytes) = (None, Map::new(), 0);
        while let Some(key) = map.next_key::<&RawValue>()? {
            settings_bytes += key.get().len();
            if settings_bytes > MAX_SETTINGS_BYTES {
                return Err(refuse(refusal, field_too_large("the settings are too long")));
            }
            let key: String = serde_json::from_str(key.get()).map_err(de::Error::custom)?;
            if key == IMAGES {
                let list = map.next_value::<&RawValue>()?.get();
                if !begins_with(list.as_bytes(), b'[') {
                    let not_a_list = Error::invalid("images is not a list").with_code("invalid_json");
                    return Err(refuse(refusal, not_a_list));
                }
                let seed = ImagesVisitor { limits, refusal: &mut *refusal };
                let list = seed.deserialize(&mut serde_json::Deserializer::from_str(list));
                if images.replace(list.map_err(de::Error::custom)?).is_some() {
                    return Err(twice());
                }
                continue;
            }
            let value = map.next_value::<&RawValue>()?.get();
            if has_long_text(value) {
                return Err(refuse(refusal, takes_no_file(&key, &[IMAGES]).with_code("invalid_json")));
            }
            settings_bytes += value.len();
            if settings_bytes > MAX_SETTINGS_BYTES || settings.len() == MAX_SETTINGS {
                return Err(refuse(refusal, field_too_large("the settings are too many or too long")));
            }
            let value = serde_json::from_str(value).map_err(de::Error::custom)?;
            if settings.insert(key, value).is_some() {
                return Err(twice());
            }
        }
        Ok(Fields { images: images.unwrap_or_default(), settings })
    }
}

/// Reads the list of images, up to the most that fit into one request.
struct ImagesVisitor<'l> {
    limits: &'l Limits,
    refusal: &'l mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for ImagesVisitor<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ImagesVisitor<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of images")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut images = Vec::new();
        while let Some(image) = list.next_element()? {
            check_count(images.len() + 1, self.limits).map_err(|error| refuse(self.refusal, error))?;
            images.push(image);
        }
        Ok(images)
    }
}
