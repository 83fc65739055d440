//! Access tokens: JWTs signed by HS256 with a key of this server, as the same server makes and checks them.
//!
//! The keys lie in the data folder. After a rotation new tokens take the new key, and the old one still checks those
//! that it signed until the last of them is over. How long a token is good is this server's to say: what the token says of
//! itself can only make that shorter, and one that says to be younger than its key's rotation is none.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::Duration,
};

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error as JwtError, ErrorKind as JwtErrorKind},
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use signature::{Signer, Verifier};

use super::{first_start::write_secret, random};
use crate::{
    domain::{Realm, SessionId, TenantId, UserId},
    error::{Error, Result},
};

/// The file of the keys in the data folder.
const FILE_NAME: &str = "tokens.secret";
/// A clock that is put right goes back no further than this, and the tokens of just before stay good.
const CLOCK_SLACK_S: i64 = 60;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claims {
    pub(super) realm: Realm,
    pub(super) user: UserId,
    pub(super) session: SessionId,
}

/// The same in a token.
#[derive(Serialize, Deserialize)]
struct Payload {
    sub: UserId,
    tid: Option<TenantId>,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// A key in its file, the one that signs first.
#[derive(Clone, Serialize, Deserialize)]
struct SigningKey {
    id: String,
    /// 256 random bits in hexadecimal.
    secret: String,
    /// When another took its place.
    retired_at: Option<Timestamp>,
}

impl SigningKey {
    /// Whether it still signed at this second.
    fn has_signed_at(&self, second: i64) -> bool {
        self.retired_at.is_none_or(|retired_at| second <= retired_at.as_second())
    }
}

/// See the module.
pub struct Tokens {
    path: PathBuf,
    lifetime: Duration,
    keys: ArcSwap<Vec<SigningKey>>,
}

impl Tokens {
    /// Reads the keys of a data folder, or makes the first. A file that is not what was written is kept aside and
    /// replaced: what it signed is worth nothing any more, and whoever is logged in refreshes their tokens or logs in
    /// again.
    ///
    /// # Errors
    /// `Storage` if the file cannot be read or written.
    pub fn open(data: &Path, lifetime: Duration, now: Timestamp) -> Result<Self> {
        install_hs256();
        let path = data.join(FILE_NAME);
        let unreadable = || Error::storage(format!("the keys in {} cannot be read", path.display()));
        let keys = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).or_else(|_| set_aside(&path, now).map(|()| Vec::new()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unreadable().with_source(error)),
        };
        let tokens = Self { path, lifetime, keys: ArcSwap::from_pointee(keys) };
        if tokens.keys.load().is_empty() {
            tokens.rotate(now)?;
        }
        Ok(tokens)
    }

    /// Makes a new key, which signs from now on.
    ///
    /// # Errors
    /// `Storage` if the file cannot be written; then the old key goes on.
    pub fn rotate(&self, now: Timestamp) -> Result<()> {
        let fresh =
            SigningKey { id: hex::encode(random::<4>()?), secret: hex::encode(random::<32>()?), retired_at: None };
        let still_checks =
            |key: &SigningKey| key.retired_at.is_none_or(|at| now.duration_since(at).unsigned_abs() <= self.lifetime);
        let mut keys = vec![fresh];
        for old in self.keys.load().iter().filter(|key| still_checks(key)) {
            keys.push(SigningKey { retired_at: old.retired_at.or(Some(now)), ..old.clone() });
        }
        let text = serde_json::to_string(&keys)
            .map_err(|error| Error::internal("the keys cannot be written").with_source(error))?;
        write_secret(&self.path, &text)?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// A token that is good for the lifetime.
    pub(super) fn sign(&self, claims: &Claims, now: Timestamp) -> Result<String> {
        let keys = self.keys.load();
        let key = keys.first().ok_or_else(|| Error::internal("there is no key for tokens"))?;
        let tid = match &claims.realm {
            Realm::Server => None,
            Realm::Tenant(tenant) => Some(tenant.clone()),
        };
        let iat = now.as_second();
        let exp = iat.saturating_add_unsigned(self.lifetime.as_secs());
        let payload = Payload { sub: claims.user.clone(), tid, sid: claims.session, iat, exp };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &payload, &EncodingKey::from_secret(key.secret.as_bytes()))
            .map_err(|error| Error::internal("a token cannot be signed").with_source(error))
    }

    /// What a token says, if a key of ours signed it while it was the one that signs, and it is not over.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.id == kid)?;
        let mut rules = Validation::new(Algorithm::HS256);
        // Compared below, with the server's clock and to the second.
        rules.validate_exp = false;
        let payload =
            jsonwebtoken::decode::<Payload>(token, &DecodingKey::from_secret(key.secret.as_bytes()), &rules).ok()?;
        let Payload { sub, tid, sid, iat, exp } = payload.claims;
        let realm = tid.map_or(Realm::Server, Realm::Tenant);
        let now = now.as_second();
        let end = exp.min(iat.saturating_add_unsigned(self.lifetime.as_secs()));
        let is_issued = iat <= now.saturating_add(CLOCK_SLACK_S) && key.has_signed_at(iat);
        (is_issued && end > now).then_some(Claims { realm, user: sub, session: sid })
    }
}

/// Keeps a damaged file for whoever wants to know what became of it.
fn set_aside(path: &Path, now: Timestamp) -> Result<()> {
    let aside = path.with_extension(format!("damaged-{}", now.as_second()));
    tracing::warn!(
        aside = %aside.display(),
        "the keys that sign access tokens are damaged: new ones are made, and those who are logged in may have to log in again"
    );
    fs::rename(path, &aside)
        .map_err(|error| Error::storage(format!("cannot rename {}", path.display())).with_source(error))
}

/// HMAC with SHA-256 for jsonwebtoken, whose own back ends bring every other algorithm with them.
struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, JwtError> {
        let hmac = Hmac::new_from_slice(secret).map_err(|_| JwtErrorKind::InvalidKeyFormat)?;
        if algorithm == Algorithm::HS256 { Ok(Self(hmac)) } else { Err(JwtErrorKind::InvalidAlgorithm.into()) }
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // In constant time.
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

fn install_hs256() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |&algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.as_bytes())?)),
        verifier_factory: |&algorithm, key| Ok(Box::new(Hs256::new(algorithm, key.try_get_as_bytes()?)?)),
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    // Fails only where one is installed already, and nothing else here installs any.
    INSTALLED.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            realm: Realm::Tenant("school/1".parse().unwrap()),
            user: "ada@school".parse().unwrap(),
            session: SessionId::generate(),
        }
    }

    fn open(data: &Path) -> Tokens {
        Tokens::open(data, Duration::from_secs(900), at(0)).unwrap()
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_is_over() {
        let data = tempfile::tempdir().unwrap();
        let tokens = open(data.path());
        for claims in [claims(), Claims { realm: Realm::Server, ..claims() }] {
            let token = tokens.sign(&claims, at(0)).unwrap();
            assert_eq!(tokens.verify(&token, at(899)), Some(claims.clone()));
            assert_eq!(tokens.verify(&token, at(900)), None);
            assert_eq!(open(data.path()).verify(&token, at(1)), Some(claims), "after a restart");
            assert_eq!(open(tempfile::tempdir().unwrap().path()).verify(&token, at(1)), None, "another server's");
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&tokens.path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_costs_what_it_signed_and_is_kept_aside() {
        for damage in [&b""[..], b"{", b"[{\"id\":1}]", &[0xff; 114]] {
            let data = tempfile::tempdir().unwrap();
            let token = open(data.path()).sign(&claims(), at(0)).unwrap();
            fs::write(data.path().join(FILE_NAME), damage).unwrap();
            let tokens = open(data.path());
            assert_eq!(tokens.verify(&token, at(1)), None);
            let fresh = tokens.sign(&claims(), at(0)).unwrap();
            assert!(open(data.path()).verify(&fresh, at(1)).is_some(), "the new file lasts");
            let aside = data.path().join(format!("tokens.damaged-{}", at(0).as_second()));
            assert_eq!(fs::read(aside).unwrap(), damage);
        }
    }

    #[test]
    fn a_changed_token_and_another_algorithm_are_refused() {
        let data = tempfile::tempdir().unwrap();
        let tokens = open(data.path());
        let token = tokens.sign(&claims(), at(0)).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let header = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
        for algorithm in ["none", "HS512", "RS256"] {
            let other = BASE64_URL_SAFE_NO_PAD.encode(header.replace("HS256", algorithm));
            for signature in ["", parts[2]] {
                assert_eq!(tokens.verify(&format!("{other}.{}.{signature}", parts[1]), at(1)), None, "{algorithm}");
            }
        }
        let payload = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let stolen = BASE64_URL_SAFE_NO_PAD.encode(payload.replace("school/1", "school/2"));
        assert_eq!(tokens.verify(&format!("{}.{stolen}.{}", parts[0], parts[2]), at(1)), None);
        for text in ["", ".", "..", "a.b.c", "rk_0000"] {
            assert_eq!(tokens.verify(text, at(1)), None);
        }
    }

    /// A token that says of itself what it likes, signed by the key that signs.
    fn forged(tokens: &Tokens, iat: i64, exp: i64) -> String {
        let keys = tokens.keys.load();
        let payload = Payload { sub: claims().user, tid: None, sid: SessionId::generate(), iat, exp };
        let header = Header { kid: Some(keys[0].id.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &payload, &EncodingKey::from_secret(keys[0].secret.as_bytes())).unwrap()
    }

    #[test]
    fn how_long_a_token_is_good_is_the_servers_to_say() {
        let data = tempfile::tempdir().unwrap();
        let tokens = open(data.path());
        let (start, ten_years) = (at(0).as_second(), 10 * 365 * 86_400);
        let is_good = |iat, exp, now| tokens.verify(&forged(&tokens, start + iat, start + exp), at(now)).is_some();
        for (iat, exp, now, good) in [
            (0, ten_years, 899, true),
            (0, ten_years, 900, false),
            (0, 100, 99, true),
            (0, 100, 100, false),
            // From a clock that was put back since, and from none.
            (60, 960, 0, true),
            (61, 961, 0, false),
            (ten_years, 2 * ten_years, 0, false),
            (i64::MAX - start, i64::MAX - start, 0, false),
            (i64::MIN + start, ten_years, 0, false),
        ] {
            assert_eq!(is_good(iat, exp, now), good, "{iat} {exp} {now}");
        }
    }

    #[test]
    fn a_retired_key_signs_nothing_more() {
        let data = tempfile::tempdir().unwrap();
        let tokens = open(data.path());
        let start = at(0).as_second();
        let stolen = |iat: i64| forged(&tokens, start + iat, start + iat + 10 * 365 * 86_400);
        let (before, after) = (stolen(10), stolen(11));
        tokens.rotate(at(10)).unwrap();
        for tokens in [&tokens, &open(data.path())] {
            assert!(tokens.verify(&before, at(63)).is_some(), "it may be one that it signed");
            assert_eq!(tokens.verify(&after, at(63)), None, "it says that it was signed after the rotation");
            assert_eq!(tokens.verify(&before, at(910)), None);
        }
    }

    #[test]
    fn a_retired_key_checks_what_it_signed_and_then_goes() {
        let data = tempfile::tempdir().unwrap();
        let tokens = open(data.path());
        let (old, claims) = (tokens.sign(&claims(), at(0)).unwrap(), claims());
        tokens.rotate(at(10)).unwrap();
        let new = tokens.sign(&claims, at(10)).unwrap();
        assert_ne!(jsonwebtoken::decode_header(&old).unwrap().kid, jsonwebtoken::decode_header(&new).unwrap().kid);
        assert!(tokens.verify(&old, at(20)).is_some() && tokens.verify(&new, at(20)).is_some());
        assert!(open(data.path()).verify(&old, at(20)).is_some());
        tokens.rotate(at(1000)).unwrap();
        assert_eq!(tokens.keys.load().len(), 2, "the first has gone");
        assert_eq!(tokens.verify(&old, at(20)), None);
    }
}
