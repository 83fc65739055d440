//! Encryption: XChaCha20-Poly1305 with random nonces. What is sealed in one place does not open in another.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};

use crate::{
    domain::{PersonId, PhotoFile, TenantId},
    error::{Error, Result},
};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a nonce, which stands before what was sealed under it.
const NONCE_BYTES: usize = 24;

/// A key at work.
pub(super) struct Key(XChaCha20Poly1305);

/// Where something sealed belongs; whatever is found elsewhere does not open.
pub(super) struct Place(Vec<u8>);

impl Key {
    pub(super) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(&(*bytes).into()))
    }

    /// `plain`, encrypted for `place`.
    pub(super) fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let payload = Payload { msg: plain, aad: &place.0 };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::internal("a photo is too large to be encrypted"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed with this key for `place`; `None` for anything else.
    pub(super) fn open(&self, place: &Place, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &place.0 }).ok()
    }
}

impl Place {
    /// Of a person's key.
    pub(super) fn key(tenant: &TenantId, person: &PersonId) -> Self {
        Self::new(b'k', tenant, person, &[])
    }

    /// Of a photo.
    pub(super) fn photo(tenant: &TenantId, person: &PersonId, file: PhotoFile) -> Self {
        Self::new(b'p', tenant, person, file.as_bytes())
    }

    /// Ids hold no zero byte, so no two places are written alike.
    fn new(kind: u8, tenant: &TenantId, person: &PersonId, rest: &[u8]) -> Self {
        Self([&[kind], tenant.as_str().as_bytes(), &[0], person.as_str().as_bytes(), &[0], rest].concat())
    }
}

/// `N` random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    <[u8; N]>::try_generate().map_err(|error| Error::internal("the system gives no random numbers").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_place_and_unchanged() {
        let (key, other) = (Key::from_bytes(&[1; KEY_BYTES]), Key::from_bytes(&[2; KEY_BYTES]));
        let (t, p) = ("t".parse().unwrap(), "p".parse().unwrap());
        let file = PhotoFile::from_bytes([3; 16]);
        let place = Place::photo(&t, &p, file);
        let sealed = key.seal(&place, b"pixels").unwrap();
        assert_ne!(sealed, key.seal(&place, b"pixels").unwrap(), "under a nonce of its own");
        assert_eq!(key.open(&place, &sealed).as_deref(), Some(&b"pixels"[..]));
        assert_eq!(other.open(&place, &sealed), None);
        let elsewhere = [
            Place::photo(&"u".parse().unwrap(), &p, file),
            Place::photo(&t, &"q".parse().unwrap(), file),
            Place::photo(&t, &p, PhotoFile::from_bytes([4; 16])),
            Place::key(&t, &p),
        ];
        for place in elsewhere {
            assert_eq!(key.open(&place, &sealed), None);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&place, &changed), None, "byte {at}");
            assert_eq!(key.open(&place, &sealed[..at]), None, "{at} bytes");
        }
    }
}
