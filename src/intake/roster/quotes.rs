//! Quotes of a CSV file that do not close. Whoever reads them as they stand takes the rows up to the next quote for one
//! field, and people vanish in silence: so the file is refused, with the line.

use std::io::{self, Read};

use super::text::Broken;

/// A quoted field that is read.
#[derive(Debug, Clone, Copy)]
struct Quoted {
    /// On which line it begins.
    line: u64,
    has_lines: bool,
    /// The byte before this one.
    last: u8,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a field.
    Before,
    Plain,
    Quoted(Quoted),
    /// Behind a quote that ends the field, or is the first of two that stand for one.
    AtQuote(Quoted),
    /// Behind a quoted field, between it and what parts it from the next.
    Behind(Quoted),
}

/// Text whose quotes close: what is read through it is as it was.
pub(super) struct Quotes<R> {
    text: R,
    delimiter: u8,
    state: State,
    line: u64,
}

impl<R: Read> Quotes<R> {
    /// Of a text whose next line has this number.
    pub(super) fn new(text: R, delimiter: u8, line: u64) -> Self {
        Self { text, delimiter, state: State::Before, line }
    }

    /// The error is the line on which a quote opens that does not close.
    fn next(&mut self, byte: u8) -> Result<(), u64> {
        let is_end = byte == self.delimiter || byte == b'\n';
        self.state = match self.state {
            State::Before | State::Plain if is_end => State::Before,
            State::Before if byte == b'"' => State::Quoted(Quoted { line: self.line, has_lines: false, last: byte }),
            State::Before | State::Plain => State::Plain,
            State::Quoted(quoted) if byte == b'"' => State::AtQuote(quoted),
            State::AtQuote(quoted) if byte == b'"' => State::Quoted(Quoted { last: byte, ..quoted }),
            State::Quoted(quoted) => {
                State::Quoted(Quoted { has_lines: quoted.has_lines || byte == b'\n', last: byte, ..quoted })
            }
            State::AtQuote(quoted) | State::Behind(quoted) if is_end => {
                self.require_closed(quoted)?;
                State::Before
            }
            State::AtQuote(quoted) | State::Behind(quoted) if byte == b' ' => State::Behind(quoted),
            State::AtQuote(quoted) | State::Behind(quoted) => return Err(quoted.line),
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }

    fn end(&self) -> Result<(), u64> {
        match self.state {
            State::Before | State::Plain => Ok(()),
            State::Quoted(quoted) => Err(quoted.line),
            State::AtQuote(quoted) | State::Behind(quoted) => self.require_closed(quoted),
        }
    }

    /// A quote on a later line and right behind a delimiter opens a field of its own: it was not meant to close this one.
    fn require_closed(&self, quoted: Quoted) -> Result<(), u64> {
        if quoted.has_lines && quoted.last == self.delimiter { Err(quoted.line) } else { Ok(()) }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.text.read(buffer)?;
        let checked = match length {
            0 if !buffer.is_empty() => self.end(),
            length => buffer[..length].iter().try_for_each(|&byte| self.next(byte)),
        };
        checked.map_err(|line| io::Error::new(io::ErrorKind::InvalidData, unclosed(line)))?;
        Ok(length)
    }
}

fn unclosed(line: u64) -> Broken {
    let message = "a quote opens a field here and does not close it: leave it out, or write the field as \"…\" with two \
                   quotes for each inside";
    Broken(format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unclosed_line(text: &str) -> Option<u64> {
        let mut quotes = Quotes { text: text.as_bytes(), delimiter: b',', state: State::Before, line: 1 };
        let refused = io::copy(&mut quotes, &mut io::sink()).err()?;
        let message = refused.to_string();
        Some(message["line ".len()..].split_once(':').unwrap().0.parse().unwrap())
    }

    #[test]
    fn quotes_that_close_are_left_alone() {
        for text in [
            "",
            "a,b\n",
            "\"a\",\"b,c\"\n",
            "\"a \"\"b\"\" c\",d",
            "\"two\nlines\",x\n",
            "\"\",\"\"\n",
            "\"\"\"\"\"\"\n",
            "5'11\" tall,a\"b\n",
            " \"a,b\n",
            "\"a\"  ,b\n",
            "\"ends, with one,\",b\n",
        ] {
            assert_eq!(unclosed_line(text), None, "{text}");
        }
    }

    #[test]
    fn a_quote_that_does_not_close_is_told_by_its_line() {
        for (text, line) in [
            ("\"", 1),
            ("id,size\n1,\"19\n2,20\n", 2),
            ("id,size\n1,\"19\n2,\"20\n3,x\n", 2),
            ("id,size\n1,\"\n2,\"\n3,x\n", 2),
            ("id,size\n1,a\n\"2,b\n\"3\",c\n", 3),
            ("\"a\"b\n", 1),
            ("\"a\" b\n", 1),
            ("\"a\nb,\"", 1),
        ] {
            assert_eq!(unclosed_line(text), Some(line), "{text}");
        }
    }
}
