//! The question who somebody is that looks like somebody enrolled.

use std::io::{self, BufRead, Write};

use crate::{
    domain::PersonId,
    error::{Error, Result},
};

/// Somebody new who looks like somebody enrolled.
pub(super) struct Doubt<'a> {
    pub(super) name: &'a str,
    /// Whom they look like.
    pub(super) other: &'a PersonId,
    pub(super) other_name: &'a str,
    /// Raw cosine.
    pub(super) similarity: f32,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// They are somebody else: enrol them.
    New,
    /// They are that person: put the photos beside theirs.
    Into,
    /// Neither, for now.
    Skip,
}

/// Asks until there is an answer; where nothing more comes, there is none.
pub(super) fn ask(doubt: &Doubt<'_>, input: &mut impl BufRead, output: &mut impl Write) -> Result<Answer> {
    let Doubt { name, other, other_name, similarity } = doubt;
    let failed = |error: io::Error| Error::invalid("nobody can be asked").with_source(error);
    let known = if *other_name == other.as_str() { other.to_string() } else { format!("{other_name} [{other}]") };
    loop {
        write!(
            output,
            "{name} looks like {known} ({similarity:.2}). Enrol as somebody new (n), put the photos into {other} (i), or \
             skip (s)? "
        )
        .and_then(|()| output.flush())
        .map_err(failed)?;
        let mut line = String::new();
        if input.read_line(&mut line).map_err(failed)? == 0 {
            return Ok(Answer::Skip);
        }
        match line.trim().to_lowercase().as_str() {
            "n" | "new" => return Ok(Answer::New),
            "i" | "into" => return Ok(Answer::Into),
            "s" | "skip" => return Ok(Answer::Skip),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_until_there_is_an_answer() {
        let other = "ada".parse().unwrap();
        let doubt = Doubt { name: "Ada", other: &other, other_name: "Ada Lovelace", similarity: 0.834 };
        for (typed, expected, asked) in [
            ("n\n", Answer::New, 1),
            ("I\n", Answer::Into, 1),
            (" skip \n", Answer::Skip, 1),
            ("\nyes\ninto\n", Answer::Into, 3),
            ("what", Answer::Skip, 2),
            ("", Answer::Skip, 1),
        ] {
            let mut shown = Vec::new();
            assert_eq!(ask(&doubt, &mut typed.as_bytes(), &mut shown).unwrap(), expected, "{typed:?}");
            let shown = String::from_utf8(shown).unwrap();
            assert_eq!(shown.matches("Ada looks like Ada Lovelace [ada] (0.83). ").count(), asked, "{shown}");
        }
    }
}
