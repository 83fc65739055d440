//! The crate's one error: a kind that callers act on, a message for people, and the cause.
//!
//! Kinds are few; `http::error` maps each to one status, and a more precise `code` (a reason such as
//! `no_face` or `too_many_pixels`) may travel with it for machines.

use std::{borrow::Cow, error::Error as StdError, fmt, num::NonZeroU32, time::Duration};

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The input is wrong; sending it again will not help.
    Invalid,
    /// The bytes are well formed but their content cannot be used (no face, every image refused).
    Unprocessable,
    /// No key, or a wrong one.
    Unauthenticated,
    /// A good key that may not do this.
    Forbidden,
    /// There is no such thing, or it is another tenant's.
    NotFound,
    /// The method does not exist on this route.
    MethodNotAllowed,
    /// The write collides with what is stored.
    Conflict,
    /// The body or a part of it is over a limit.
    TooLarge,
    /// The format is not one that we read.
    Unsupported,
    /// No room now; try again later.
    Overloaded,
    /// The service is stopping, starting or has lost a stage.
    Unavailable,
    /// The caller fell silent in the middle of its request.
    Timeout,
    /// The caller hung up; nobody will read the answer.
    Cancelled,
    /// The disk has no room; nothing was written.
    Full,
    /// The store is damaged, locked or cannot be written.
    Storage,
    /// Our fault.
    Internal,
}

impl ErrorKind {
    /// The default machine-readable code of the kind.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unprocessable => "unprocessable",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Full => "disk_full",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }
}

/// An error value; see the module.
pub struct Error {
    kind: ErrorKind,
    code: &'static str,
    message: Cow<'static, str>,
    details: Option<serde_json::Value>,
    retry_after_s: Option<NonZeroU32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 1000;
/// The most characters of what a client sent that a message repeats.
pub const MAX_QUOTED_CHARS: usize = 100;
/// Of what a reader says that it expected, so much is told: its lists of names are long.
const MAX_EXPECTED_CHARS: usize = 400;

/// `Result` with the crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` whose code is the kind's own.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = within_limit(message.into());
        Self { kind, code: kind.code(), message, details: None, retry_after_s: None, source: None }
    }

    /// Bad input.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something that was sent, such as "the form", and that its reader refused. The reader's own words quote what they
    /// are about, which may be all that was sent: [`MAX_QUOTED_CHARS`] of them are told.
    pub fn unreadable(what: &str, said: &dyn fmt::Display) -> Self {
        Self::invalid(format!("{what} cannot be read: {}", in_brief(&said.to_string())))
    }

    /// No such thing in the caller's tenant.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Our fault.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// A store that cannot be read or written.
    pub fn storage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Storage, message)
    }

    /// Replaces the kind's code by a more precise one in `snake_case`.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Attaches structured details for the answer's envelope; they are shown to the client.
    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Says when it is worth another try, where that is known.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        // Rounded up: who comes a moment too early is refused again.
        let seconds = wait.as_millis().div_ceil(1000);
        self.retry_after_s = NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Attaches the cause, for the log only.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The machine-readable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// After how many seconds it is worth another try, where that is known.
    pub fn retry_after_s(&self) -> Option<NonZeroU32> {
        self.retry_after_s
    }

    /// Structured details for the client.
    pub fn details(&self) -> Option<&serde_json::Value> {
        self.details.as_ref()
    }
}

/// What a reader says, with the quoted part shortened. serde puts it first, and then what was expected, and where.
fn in_brief(said: &str) -> String {
    let end_of_quoted = [", expected ", " at line "].into_iter().find_map(|mark| said.rfind(mark));
    let (quoted, rest) = said.split_at(end_of_quoted.unwrap_or(said.len()));
    cut(quoted, MAX_QUOTED_CHARS) + &cut(rest, MAX_EXPECTED_CHARS)
}

fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The message, cut where it is too long.
fn within_limit(message: Cow<'static, str>) -> Cow<'static, str> {
    match (0..=MAX_MESSAGE_BYTES).rev().find(|end| message.is_char_boundary(*end)) {
        Some(end) if end < message.len() => format!("{}…", &message[..end]).into(),
        _ => message,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.code)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_shows_the_message_and_its_causes() {
        let error = Error::storage("cannot open the store").with_source(std::io::Error::other("disk gone"));
        assert_eq!(error.to_string(), "cannot open the store: disk gone");
        assert_eq!(error.code(), "storage");
    }

    #[test]
    fn a_message_never_repeats_all_that_was_sent() {
        let short = "ü".repeat(MAX_MESSAGE_BYTES / 2);
        assert_eq!(Error::invalid(short.clone()).message(), short);
        let long = "ü".repeat(1_000_000);
        let message = Error::invalid(format!("x{long}")).message().to_owned();
        assert!(message.len() <= MAX_MESSAGE_BYTES + "…".len() && message.ends_with("ü…"), "{}", message.len());
    }

    #[test]
    fn what_was_sent_is_repeated_in_brief_and_what_was_expected_is_told() {
        for said in [
            "unknown field `XXXX`, expected one of `a`, `b`",
            "invalid type: string \"XXXX\", expected a boolean at line 1 column 7",
            "XXXX",
            "XXXX at line 1 column 7",
        ] {
            let long = said.replace("XXXX", &"ü".repeat(10_000));
            let message = Error::unreadable("the form", &long).message().to_owned();
            assert!(message.starts_with("the form cannot be read: "), "{message}");
            assert!((50..=MAX_QUOTED_CHARS).contains(&message.matches('ü').count()), "{message}");
            let (_, rest) = said.split_once("XXXX").unwrap();
            assert!(message.ends_with(rest.trim_start_matches(['`', '"'])) || rest.is_empty(), "{message}");
            let short = Error::unreadable("the form", &said).message().to_owned();
            assert_eq!(short, format!("the form cannot be read: {said}"));
        }
    }

    #[test]
    fn a_precise_code_keeps_its_kind() {
        let error = Error::invalid("too many pixels").with_code("too_many_pixels");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "too_many_pixels"));
    }
}
