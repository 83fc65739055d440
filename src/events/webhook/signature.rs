//! How a receiver knows that a delivery is ours: HMAC-SHA256 over the moment and the body, under the webhook's secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// How the text of every secret begins.
const SECRET_PREFIX: &str = "whsec_";

/// A new secret: 256 random bits.
///
/// # Errors
/// `Internal` if the system gives no random numbers.
pub fn new_secret() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal("the system gives no random numbers").with_source(error))?;
    Ok(format!("{SECRET_PREFIX}{}", hex::encode(bytes)))
}

/// The header of a delivery: `v1=` and the hexadecimal HMAC of `{timestamp}.{body}`, where `timestamp` is in seconds.
///
/// # Errors
/// `Internal` never in practice: HMAC takes a key of any length.
pub fn signature(secret: &str, timestamp: i64, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|error| Error::internal("a delivery cannot be signed").with_source(error))?;
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1={}", hex::encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        // printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec_00
        let expected = "v1=033f4064557118a68f2084bb299d42948f99ed303f3d6341488a14fe1c2431b1";
        assert_eq!(signature("whsec_00", 1_700_000_000, b"{\"id\":1}").unwrap(), expected);
        assert_ne!(new_secret().unwrap(), new_secret().unwrap());
    }
}
