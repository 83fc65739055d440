//! Refresh tokens: each names its login and is good once.
//!
//! A token's 256 bits are a nonce and the tag that this server's secret gives to it in its login. So one that was issued
//! and spent before can be told from one that never was, without keeping any but the last: the first ends its login, for
//! it was copied; the second is nobody's word on anything.

use std::{fs, io::ErrorKind as IoErrorKind, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{first_start::write_secret, keys::sha256, random};
use crate::{
    domain::SessionId,
    error::{Error, Result},
};

/// The file of the secret in the data folder.
const FILE_NAME: &str = "refresh.secret";
/// How the text of every refresh token begins.
const PREFIX: &str = "rr_";
/// Of the nonce, and of the tag that follows it.
const HALF_BYTES: usize = 16;
/// Hexadecimal digits of a login's id.
const LOGIN_DIGITS: usize = 32;

/// What refresh tokens are issued with.
pub(super) struct RefreshSecret([u8; 32]);

/// A token, as it is shown once.
pub(super) struct RefreshToken {
    login: SessionId,
    /// Hexadecimal digits of the nonce and its tag.
    digits: String,
}

impl RefreshSecret {
    /// Reads the secret of a data folder, or makes one where there is none or it is damaged: tokens that are good then
    /// stay good, and those that were spent before are taken for ones that were never issued.
    ///
    /// # Errors
    /// `Storage` if the file cannot be read or written.
    pub(super) fn open(data: &Path) -> Result<Self> {
        let path = data.join(FILE_NAME);
        let known = match fs::read_to_string(&path) {
            Ok(text) => hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()),
            Err(error) if [IoErrorKind::NotFound, IoErrorKind::InvalidData].contains(&error.kind()) => None,
            Err(error) => {
                let message = format!("the secret in {} cannot be read", path.display());
                return Err(Error::storage(message).with_source(error));
            }
        };
        if let Some(known) = known {
            return Ok(Self(known));
        }
        let fresh = random::<32>()?;
        write_secret(&path, &hex::encode(fresh))?;
        Ok(Self(fresh))
    }

    /// A new token of a login.
    pub(super) fn issue(&self, login: SessionId) -> Result<RefreshToken> {
        let nonce = random::<HALF_BYTES>()?;
        let tag = self.keyed(login, &nonce)?.finalize().into_bytes();
        Ok(RefreshToken { login, digits: hex::encode(nonce) + &hex::encode(&tag[..HALF_BYTES]) })
    }

    /// Whether it was this that issued a token.
    pub(super) fn has_issued(&self, token: &RefreshToken) -> Result<bool> {
        let bytes = hex::decode(&token.digits).ok();
        let halves = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk::<HALF_BYTES>());
        match halves {
            Some((nonce, tag)) if tag.len() == HALF_BYTES => {
                Ok(self.keyed(token.login, nonce)?.verify_truncated_left(tag).is_ok())
            }
            _ => Ok(false),
        }
    }

    fn keyed(&self, login: SessionId, nonce: &[u8; HALF_BYTES]) -> Result<Hmac<Sha256>> {
        let hmac = Hmac::<Sha256>::new_from_slice(&self.0)
            .map_err(|error| Error::internal("a refresh token cannot be made").with_source(error))?;
        Ok(hmac.chain_update(login.as_bytes()).chain_update(nonce))
    }
}

impl RefreshToken {
    /// The token of a text; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (login, digits) = text.strip_prefix(PREFIX)?.split_at_checked(LOGIN_DIGITS)?;
        let login: [u8; LOGIN_DIGITS / 2] = hex::decode(login).ok()?.try_into().ok()?;
        Some(Self { login: SessionId::from_bytes(login), digits: digits.to_ascii_lowercase() })
    }

    /// The text of the token, for whoever logs in.
    pub(super) fn text(&self) -> String {
        format!("{PREFIX}{}{}", hex::encode(self.login.as_bytes()), self.digits)
    }

    /// The login.
    pub(super) fn login(&self) -> SessionId {
        self.login
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text_and_is_known_as_issued_for_its_login_alone() {
        let data = tempfile::tempdir().unwrap();
        let secret = RefreshSecret::open(data.path()).unwrap();
        let token = secret.issue(SessionId::generate()).unwrap();
        let read = RefreshToken::parse(&token.text()).unwrap();
        assert_eq!((read.login(), read.hash(), read.text()), (token.login(), token.hash(), token.text()));
        let shouted = RefreshToken::parse(&format!("rr_{}", token.text()[3..].to_ascii_uppercase())).unwrap();
        assert_eq!((shouted.login(), shouted.hash()), (token.login(), token.hash()), "the same digits");
        assert!(secret.has_issued(&read).unwrap());
        assert!(RefreshSecret::open(data.path()).unwrap().has_issued(&read).unwrap(), "after a restart");
        let others = tempfile::tempdir().unwrap();
        assert!(!RefreshSecret::open(others.path()).unwrap().has_issued(&read).unwrap(), "another server's");
        let of_another_login = RefreshToken { login: SessionId::generate(), digits: token.digits.clone() };
        let mut digits = token.digits.clone();
        digits.replace_range(63..64, if digits.ends_with('0') { "1" } else { "0" });
        let longer = RefreshToken { login: token.login, digits: format!("{}00", token.digits) };
        for forged in [of_another_login, RefreshToken { login: token.login, digits }, longer] {
            assert!(!secret.has_issued(&forged).unwrap(), "{}", forged.text());
        }
        for text in ["", "rr_", "rr_00", &token.text()[1..], &format!("rr_{}", "g".repeat(96))] {
            assert!(RefreshToken::parse(text).is_none_or(|token| !secret.has_issued(&token).unwrap()), "{text}");
        }
    }

    #[test]
    fn a_damaged_secret_is_made_anew_for_its_owner_alone() {
        for damage in [&b""[..], b"zz", &[0xff; 64]] {
            let data = tempfile::tempdir().unwrap();
            let path = data.path().join(FILE_NAME);
            fs::write(&path, damage).unwrap();
            let token = RefreshSecret::open(data.path()).unwrap().issue(SessionId::generate()).unwrap();
            assert!(RefreshSecret::open(data.path()).unwrap().has_issued(&token).unwrap(), "the new one lasts");
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
