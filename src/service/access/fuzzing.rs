//! What fuzzing asks of tokens.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::{fs, sync::LazyLock, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

use super::{
    refresh::{RefreshSecret, RefreshToken},
    tokens::Tokens,
};

/// The secrets are the same in each run, so that what is kept stays signed.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// The first part of a token that it signs.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"0"}"#;
const LIFETIME: Duration = Duration::from_secs(900);
/// As `tokens` has it.
const CLOCK_SLACK: Duration = Duration::from_secs(60);
const NOW_S: i64 = 1_800_000_000;

struct Secrets {
    tokens: Tokens,
    refresh: RefreshSecret,
}

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let data = tempfile::tempdir().expect("there is room for two small files");
    let keys = format!(r#"[{{"id":"0","secret":"{SECRET}","retired_at":null}}]"#);
    fs::write(data.path().join("tokens.secret"), keys).expect("there is room for two small files");
    fs::write(data.path().join("refresh.secret"), SECRET).expect("there is room for two small files");
    let tokens = Tokens::open(data.path(), LIFETIME, now()).expect("the keys were just written");
    Secrets { tokens, refresh: RefreshSecret::open(data.path()).expect("the secret was just written") }
});

fn now() -> Timestamp {
    Timestamp::from_second(NOW_S).expect("a time of this millennium")
}

/// What nobody signed opens nothing; what was signed, whatever it says, opens something for no longer than tokens last.
/// The input is a token, and also what a token says, which is signed here.
pub fn tokens(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Secrets { tokens, refresh } = &*SECRETS;
    if let Some(claims) = tokens.verify(text, now()) {
        let (said, given) = text.rsplit_once('.').expect("a token has parts");
        assert_eq!(given, signature(said), "forged");
        let again = tokens.sign(&claims, now()).expect("there is a key");
        assert_eq!(tokens.verify(&again, now()), Some(claims));
    }
    let said = [HEADER.as_bytes(), bytes].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signed = format!("{said}.{}", signature(&said));
    if tokens.verify(&signed, now()).is_some() {
        let over = now() + SignedDuration::try_from(LIFETIME + CLOCK_SLACK).expect("minutes");
        assert_eq!(tokens.verify(&signed, over), None, "it lasts too long");
    }
    if let Some(token) = RefreshToken::parse(text) {
        let again = RefreshToken::parse(&token.text()).expect("a token is read again");
        assert_eq!((again.login(), again.hash()), (token.login(), token.hash()));
        let is_issued = refresh.has_issued(&token).expect("there is a secret");
        assert_eq!(refresh.has_issued(&again).ok(), Some(is_issued));
    }
}

/// The last part of a token whose other parts are `said`.
fn signature(said: &str) -> String {
    let hmac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length will do");
    BASE64_URL_SAFE_NO_PAD.encode(hmac.chain_update(said).finalize().into_bytes())
}
