//! Records as bytes: a header, then bincode. The only module that names bincode.
//!
//! ```text
//! offset 0  u8   version of the record's layout
//! offset 1  u8   kind of record
//! offset 2  u32  crc32c of version, kind and body, little-endian
//! offset 6  …    body: the value in bincode's standard encoding
//! ```
//!
//! bincode does not describe itself: whoever changes a stored type raises its [`Record::VERSION`] and teaches
//! [`decode`] to read the older layout.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

const HEADER_BYTES: usize = 6;
/// The largest body that is written or read: a face sample is about 2 KiB, so a length beyond this is damage.
const MAX_BODY_BYTES: usize = 1 << 20;
const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>();

/// A type with a stored layout.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// Tells records apart, so that a value under a wrong key is noticed. Never reused.
    const KIND: u8;
    /// Version of the layout.
    const VERSION: u8 = 1;
}

/// `record` with its header.
pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>> {
    let body = bincode::serde::encode_to_vec(record, CONFIG)
        .map_err(|error| Error::internal("a record cannot be encoded").with_source(error))?;
    // bincode holds to its limit only when it reads.
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::internal("a record is too large to store"));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&[R::VERSION, R::KIND]);
    bytes.extend_from_slice(&checksum(R::VERSION, R::KIND, &body).to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// The record in `bytes`.
///
/// Errors are of kind `Storage`: `damaged_record` where the bytes are not what [`encode`] wrote, `newer_record`
/// where a later version of this program wrote them.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    let Some((&[version, kind, c0, c1, c2, c3], body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged());
    };
    if checksum(version, kind, body) != u32::from_le_bytes([c0, c1, c2, c3]) || kind != R::KIND {
        return Err(damaged());
    }
    if version != R::VERSION {
        return Err(Error::storage("a stored record was written by a newer version of this program: upgrade it")
            .with_code("newer_record"));
    }
    match bincode::serde::decode_from_slice(body, CONFIG) {
        Ok((record, read)) if read == body.len() => Ok(record),
        Ok(_) => Err(damaged()),
        Err(error) => Err(damaged().with_source(error)),
    }
}

fn checksum(version: u8, kind: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version, kind]), body)
}

fn damaged() -> Error {
    Error::storage("a stored record is damaged: restore the data folder from a backup").with_code("damaged_record")
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
            let mut bytes = vec![Sample::VERSION, Sample::KIND];
            bytes.extend_from_slice(&checksum(Sample::VERSION, Sample::KIND, &body).to_le_bytes());
            bytes.extend_from_slice(&body);
            let _ = decode::<Sample>(&bytes);
        }
    }
}
