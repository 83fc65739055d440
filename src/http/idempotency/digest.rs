//! What tells one body from another: of JSON every byte; of a multipart body the parts in their order, without the
//! boundary between them, which clients make up anew for each try.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use sha2::{Digest, Sha256};

/// A digest under way; it holds no more of the body than a boundary's length.
pub(super) struct BodyDigest {
    whole: Sha256,
    part: Sha256,
    /// A line's end, `--` and the boundary; nothing where the body has none.
    delimiter: Vec<u8>,
    /// The end of what has come, which may be the beginning of a delimiter.
    tail: Vec<u8>,
    /// Behind the last delimiter, where a reader may or may not go on to the end.
    closed: bool,
}

impl BodyDigest {
    /// Of the body of a request with these headers.
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let delimiter = boundary(kind).map(|boundary| format!("\r\n--{boundary}").into_bytes()).unwrap_or_default();
        // The first delimiter has no line before it, so one is thought there.
        Self { whole: Sha256::new(), part: Sha256::new(), delimiter, tail: b"\r\n".to_vec(), closed: false }
    }

    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if self.delimiter.is_empty() {
            self.part.update(bytes);
            return;
        }
        self.tail.extend_from_slice(bytes);
        // Two bytes behind a delimiter say whether it is the last.
        let keep = self.delimiter.len() + 1;
        let mut done = 0;
        while !self.closed {
            let rest = &self.tail[done..];
            let found = rest.windows(self.delimiter.len()).position(|window| window == self.delimiter);
            match found {
                Some(at) if rest.len() > at + keep => {
                    self.part.update(&rest[..at]);
                    self.whole.update(self.part.finalize_reset());
                    self.closed = rest[at + self.delimiter.len()..].starts_with(b"--");
                    done += at + self.delimiter.len();
                }
                found => {
                    let settled = found.unwrap_or_else(|| rest.len().saturating_sub(keep));
                    self.part.update(&rest[..settled]);
                    done += settled;
                    break;
                }
            }
        }
        self.tail.drain(..if self.closed { self.tail.len() } else { done });
    }

    /// The digest of what has come so far.
    pub(super) fn value(&self) -> [u8; 32] {
        let (mut whole, mut part) = (self.whole.clone(), self.part.clone());
        if !self.closed {
            part.update(&self.tail);
            whole.update(part.finalize());
        }
        whole.finalize().into()
    }
}

/// The boundary of a multipart body, as its type names it.
fn boundary(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next()?.to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let named = parts.find_map(|part| part.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("boundary")));
    named.map(|(_, boundary)| boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn digest(kind: &str, body: &[u8], step: usize) -> [u8; 32] {
        let headers = [(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())].into_iter().collect();
        let mut digest = BodyDigest::new(&headers);
        body.chunks(step).for_each(|chunk| digest.update(chunk));
        digest.value()
    }

    fn form(boundary: &str, parts: &[&str]) -> (String, Vec<u8>) {
        let part = |part| format!("--{boundary}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{part}\r\n");
        let body = parts.iter().map(part).collect::<String>() + &format!("--{boundary}--\r\n");
        (format!("multipart/form-data; boundary=\"{boundary}\""), body.into_bytes())
    }

    #[test]
    fn a_multipart_body_is_its_parts_whatever_its_boundary_and_its_chunks() {
        let of = |boundary: &str, parts: &[&str], step: usize| {
            let (kind, body) = form(boundary, parts);
            digest(&kind, &body, step)
        };
        let parts = ["one", "-", "--", "--AaB-03x", "t\r\n--wo"];
        let expected = of("AaB03x", &parts, 1000);
        for step in 1..60 {
            assert_eq!(of("AaB03x", &parts, step), expected, "{step}");
            assert_eq!(of("----other-and-longer", &parts, step), expected, "{step}");
        }
        for others in [&["one"][..], &["-", "one", "--", "--AaB-03x", "t\r\n--wo"], &["one-", "", "--"], &[]] {
            assert_ne!(of("AaB03x", others, 7), expected);
        }
    }

    #[test]
    fn what_follows_the_last_delimiter_does_not_count() {
        let (kind, body) = form("x", &["one"]);
        let end = body.len() - 2;
        for step in [1, 5, 100] {
            assert_eq!(digest(&kind, &body[..end], step), digest(&kind, &[&body[..], b"more"].concat(), step));
        }
        assert_ne!(digest(&kind, &body[..end], 9), digest(&kind, &body[..end - 2], 9));
    }

    #[test]
    fn json_is_its_bytes() {
        let of = |body: &[u8], step| digest("application/json", body, step);
        assert_eq!(of(b"{\"name\":\"--x\"}", 1), of(b"{\"name\":\"--x\"}", 100));
        assert_ne!(of(b"{}", 1), of(b"{ }", 1));
    }
}
