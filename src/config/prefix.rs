//! The path below which a proxy shows the server to others.

use serde::Deserialize;

/// Nothing, or `/rollcall`: with a slash before it and none behind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix(String);

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        let is_part = |part: &str| {
            !["", ".", ".."].contains(&part)
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        let parts = given.trim_end_matches('/').strip_prefix('/');
        match parts {
            Some(parts) if parts.split('/').all(is_part) => Ok(Self(format!("/{parts}"))),
            None if given.is_empty() => Ok(Self::default()),
            _ => Err(format!("server.prefix is a path such as /rollcall or nothing, and not {given:?}")),
        }
    }
}

impl Prefix {
    /// As it stands before a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of a path below it; nothing for a path that is not, or where there is none.
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.0.as_str()).filter(|_| !self.0.is_empty())?;
        // /rollcalls is not below /rollcall.
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Prefix, String> {
        Prefix::try_from(text.to_owned())
    }

    #[test]
    fn a_prefix_is_a_path_without_a_slash_behind() {
        for (given, prefix) in
            [("", ""), ("/rollcall", "/rollcall"), ("/rollcall/", "/rollcall"), ("/a/b-1.2_c~", "/a/b-1.2_c~")]
        {
            assert_eq!(read(given).unwrap().as_str(), prefix);
        }
        for bad in
            ["/", "//", "rollcall", "/a//b", "/a/../b", "/.", "/a b", "/a?b", "/a#b", "https://school.example/a", "/\\"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_below_it_is_stripped() {
        let prefix = read("/rollcall").unwrap();
        assert_eq!(prefix.strip("/rollcall/docs/"), Some("/docs/"));
        assert_eq!(prefix.strip("/rollcall"), Some(""));
        assert_eq!(prefix.strip("/rollcall?x=1"), Some("?x=1"));
        for other in ["/", "/docs", "/rollcalls", "/rollcal", "/x/rollcall"] {
            assert_eq!(prefix.strip(other), None, "{other}");
        }
        assert_eq!(Prefix::default().strip("/docs"), None);
    }
}
