//! Records as bytes: a header, then bincode. The only module that names bincode.
//!
//! ```text
//! offset 0  u8   version of the record's layout
//! offset 1  u8   kind of record
//! offset 2  u32  crc32c of version, kind and body, little-endian
//! offset 6  …    body: the value in bincode's standard encoding
//! ```
//!
//! bincode does not describe itself: whoever changes a stored type raises its version in
//! [`records`](super::records) and reads the older layouts as [`Older`].

use bincode::{
    BorrowDecode, Decode,
    config::{Configuration, Limit, LittleEndian, Varint},
    de::{BorrowDecoder, read::BorrowReader},
    error::DecodeError,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::FaceSample,
    error::{Error, Result},
};

const HEADER_BYTES: usize = 6;
/// The largest body that is written or read: a face sample is about 2 KiB, so a length beyond this is damage.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The largest record that is written, with its header.
pub(super) const MAX_RECORD_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES;
const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>();

/// A type with a stored layout; the table of [`records`](super::records) implements it.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// Tells records apart, so that a value under a wrong key is noticed. Never reused.
    const KIND: u8;
    /// Version of the layout, from 1.
    const VERSION: u8 = 1;

    /// The record in a body of the layout `version`, which is older than [`Self::VERSION`].
    fn from_older(_version: u8, _body: OlderBody<'_>) -> Result<Self> {
        Err(damaged())
    }
}

/// A type that has had other layouts. Beside it, as it knows what they lacked.
pub(super) trait Older: Sized {
    /// See [`Record::from_older`].
    fn from_older(version: u8, body: OlderBody<'_>) -> Result<Self>;
}

/// The body of a record that an earlier version of this program wrote.
pub(super) struct OlderBody<'a>(&'a [u8]);

impl OlderBody<'_> {
    /// Reads it as `T`, the stored type as it was then.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read_body(self.0)
    }
}

/// `record` with its header.
pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>> {
    let body = bincode::serde::encode_to_vec(record, CONFIG)
        .map_err(|error| Error::internal("a record cannot be encoded").with_source(error))?;
    // bincode holds to its limit only when it reads.
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::internal("a record is too large to store"));
    }
    Ok(sealed(R::VERSION, R::KIND, &body))
}

/// A body behind its header.
pub(super) fn sealed(version: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&[version, kind]);
    bytes.extend_from_slice(&checksum(version, kind, body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The record in `bytes`.
///
/// Errors are of kind `Storage`: `damaged_record` where the bytes are not what [`encode`] wrote, `newer_record`
/// where a later version of this program wrote them.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    let (version, body) = checked_body::<R>(bytes)?;
    if version < R::VERSION { R::from_older(version, OlderBody(body)) } else { read_body(body) }
}

fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    match bincode::serde::decode_from_slice(body, CONFIG) {
        Ok((record, read)) if read == body.len() => Ok(record),
        Ok(_) => Err(damaged()),
        Err(error) => Err(damaged().with_source(error)),
    }
}

/// The version of an intact record of this kind, none newer than is known, and what follows its header.
fn checked_body<R: Record>(bytes: &[u8]) -> Result<(u8, &[u8])> {
    let Some((&[version, kind, c0, c1, c2, c3], body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged());
    };
    if checksum(version, kind, body) != u32::from_le_bytes([c0, c1, c2, c3]) || kind != R::KIND {
        return Err(damaged());
    }
    if version > R::VERSION {
        return Err(Error::storage("a stored record was written by a newer version of this program: upgrade it")
            .with_code("newer_record"));
    }
    Ok((version, body))
}

/// A face sample in its record's bytes, which holds nothing of its own: a gallery of a million is loaded from these.
/// The fields are [`FaceSample`](crate::domain::FaceSample)'s, in its order.
#[derive(bincode::BorrowDecode)]
pub(super) struct FaceSampleRef<'a> {
    /// The sample's 16 bytes.
    pub(super) id: &'a [u8],
    pub(super) person: &'a str,
    pub(super) model_name: &'a str,
    pub(super) model_dimension: u32,
    pub(super) model_postprocessing: u32,
    pub(super) vector: FloatsRef<'a>,
    pub(super) score: f32,
    /// In the order of [`Quality`](crate::domain::Quality)'s fields.
    pub(super) quality: [f32; 7],
    pub(super) source: Option<[u8; 32]>,
}

/// Numbers as they are stored.
pub(super) struct FloatsRef<'a>(&'a [u8]);

impl FloatsRef<'_> {
    /// Puts the numbers in the place of those in `target`, whose memory is used again.
    pub(super) fn copy_to(&self, target: &mut Vec<f32>) {
        let (numbers, _) = self.0.as_chunks();
        target.clear();
        target.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for FloatsRef<'de> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u64::decode(decoder)?;
        let bytes = usize::try_from(count).ok().and_then(|count| count.checked_mul(size_of::<f32>()));
        let bytes = bytes.ok_or(DecodeError::LimitExceeded)?;
        decoder.claim_bytes_read(bytes)?;
        decoder.borrow_reader().take_bytes(bytes).map(Self)
    }
}

/// The sample in `bytes`, in place. Errors as for [`decode`].
pub(super) fn decode_face(bytes: &[u8]) -> Result<FaceSampleRef<'_>> {
    let (version, body) = checked_body::<FaceSample>(bytes)?;
    if version != FaceSample::VERSION {
        return Err(damaged());
    }
    match bincode::borrow_decode_from_slice(body, CONFIG) {
        Ok((sample, read)) if HEADER_BYTES + read == bytes.len() => Ok(sample),
        Ok(_) => Err(damaged()),
        Err(error) => Err(damaged().with_source(error)),
    }
}

/// Whether `bytes` are what [`encode`] wrote for a record of some kind and version.
pub(super) fn is_intact(bytes: &[u8]) -> bool {
    bytes.split_first_chunk::<HEADER_BYTES>().is_some_and(|(&[version, kind, c0, c1, c2, c3], body)| {
        checksum(version, kind, body) == u32::from_le_bytes([c0, c1, c2, c3])
    })
}

fn checksum(version: u8, kind: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version, kind]), body)
}

/// The error for a record that is not what was written.
pub(super) fn damaged() -> Error {
    Error::storage("a stored record is damaged: `rollcall check` says which; restore a backup into a new data folder")
        .with_code("damaged_record")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::error::ErrorKind;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        numbers: Vec<f32>,
    }

    impl Record for Sample {
        const KIND: u8 = 200;
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Newer(Sample);

    impl Record for Newer {
        const KIND: u8 = 200;
        const VERSION: u8 = 2;
    }

    /// Has had a field added since [`Sample`].
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Grown {
        sample: Sample,
        added: bool,
    }

    impl Record for Grown {
        const KIND: u8 = 200;
        const VERSION: u8 = 2;

        fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
            Ok(Self { sample: body.read()?, added: true })
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Other(Sample);

    impl Record for Other {
        const KIND: u8 = 201;
    }

    fn sample() -> Sample {
        Sample { name: "Zoë 李".into(), numbers: vec![0.25, -1.5, 3.0] }
    }

    #[test]
    fn a_record_comes_back() {
        assert_eq!(decode::<Sample>(&encode(&sample()).unwrap()).unwrap(), sample());
    }

    #[test]
    fn a_face_in_place_is_the_one_that_was_stored() {
        use crate::domain::{FaceId, ModelId, Quality};
        let quality =
            Quality { width_px: 1.0, sharpness: 2.0, brightness: 3.0, norm: 4.0, yaw: 5.0, pitch: 6.0, roll: 7.0 };
        for length in [0, 1, 250, 251, 512, 70_000] {
            let sample = FaceSample {
                id: FaceId::generate(),
                person: "jane doe".parse().unwrap(),
                model: ModelId { name: "net".into(), dimension: 70_000, postprocessing: 300 },
                vector: (0..length).map(|n| n as f32 - 0.5).collect(),
                score: 0.75,
                quality,
                source: (length > 0).then_some([7; 32]),
            };
            let bytes = encode(&sample).unwrap();
            let stored = decode_face(&bytes).unwrap();
            assert_eq!((stored.id, stored.person), (&sample.id.as_bytes()[..], "jane doe"));
            assert_eq!((stored.model_name, stored.model_dimension, stored.model_postprocessing), ("net", 70_000, 300));
            let mut vector = vec![9.0; 3];
            stored.vector.copy_to(&mut vector);
            assert_eq!((&vector, stored.score, stored.source), (&sample.vector, 0.75, sample.source));
            assert_eq!(stored.quality.map(f32::to_bits), [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(f32::to_bits));
            assert_eq!(decode::<FaceSample>(&bytes).unwrap(), sample);
            assert_eq!(decode_face(&bytes[..bytes.len() - 1]).err().unwrap().code(), "damaged_record");
        }
        assert!(decode_face(&encode(&sample()).unwrap()).is_err(), "another kind of record");
    }

    #[test]
    fn every_bit_flip_and_every_cut_is_noticed() {
        let bytes = encode(&sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<Sample>(&flipped).unwrap_err().code(), "damaged_record", "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode::<Sample>(&bytes[..length]).unwrap_err().code(), "damaged_record", "cut at {length}");
        }
    }

    #[test]
    fn an_older_layout_is_read_where_the_record_knows_it() {
        let old = encode(&sample()).unwrap();
        assert_eq!(decode::<Grown>(&old).unwrap(), Grown { sample: sample(), added: true });
        let new = Grown { sample: sample(), added: false };
        assert_eq!(decode::<Grown>(&encode(&new).unwrap()).unwrap(), new);
        assert_eq!(decode::<Newer>(&old).unwrap_err().code(), "damaged_record");
    }

    #[test]
    fn a_newer_layout_and_another_kind_are_refused() {
        let newer = decode::<Sample>(&encode(&Newer(sample())).unwrap()).unwrap_err();
        assert_eq!((newer.kind(), newer.code()), (ErrorKind::Storage, "newer_record"));
        let other = decode::<Sample>(&encode(&Other(sample())).unwrap()).unwrap_err();
        assert_eq!((other.kind(), other.code()), (ErrorKind::Storage, "damaged_record"));
    }

    #[test]
    fn a_record_over_the_limit_is_not_written() {
        assert!(encode(&Sample { name: String::new(), numbers: vec![0.0; MAX_BODY_BYTES / 4 + 1] }).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode::<Sample>(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bodies_under_a_right_checksum_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Sample>(&sealed(Sample::VERSION, Sample::KIND, &body));
            let _ = decode_face(&sealed(FaceSample::VERSION, FaceSample::KIND, &body));
        }
    }
}
