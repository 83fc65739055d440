//! A roster's bytes as text: UTF-8 whose lines all end with `\n`, whatever program wrote the file.
//!
//! A byte order mark says which Unicode encoding it is; without one it is UTF-8 where it is that, UTF-16 where every
//! other byte of its beginning is zero, and else of one byte a character, as spreadsheets save "CSV": Windows-1252, or
//! Mac Roman where lines end with `\r` alone. A file that is UTF-8 in some places and not in others is damaged, and
//! refused.

use std::{
    fmt,
    io::{self, Read, Seek},
};

use encoding_rs::{CoderResult, Decoder, Encoding, MACINTOSH, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Read and decoded at once.
const CHUNK_BYTES: usize = 8 << 10;
/// The most bytes of UTF-8 that a byte of any of the encodings becomes, and room for a character that was begun before.
const DECODED_BYTES: usize = 3 * CHUNK_BYTES + 16;

/// A file that is no text, or no CSV: what is wrong with it, in whole sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// What is wrong with the file, where a read failed for that.
pub(super) fn broken(error: &io::Error) -> Option<&Broken> {
    error.get_ref()?.downcast_ref()
}

fn refuse(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Broken(message.into()))
}

/// The text of a file, from its beginning.
pub(super) struct Text<R> {
    file: R,
    decoder: Decoder,
    /// Decoded, and not read yet from `read` on.
    decoded: Vec<u8>,
    read: usize,
    is_after_return: bool,
    /// The last line has not ended.
    has_open_line: bool,
    is_over: bool,
}

impl<R: Read + Seek> Text<R> {
    /// Reads the whole file once to see how it is encoded. Errors also for files that are [`Broken`].
    pub(super) fn open(mut file: R) -> io::Result<Self> {
        file.rewind()?;
        let encoding = encoding(&mut file)?;
        file.rewind()?;
        Ok(Self {
            file,
            decoder: encoding.new_decoder_with_bom_removal(),
            decoded: Vec::new(),
            read: 0,
            is_after_return: false,
            has_open_line: false,
            is_over: false,
        })
    }
}

impl<R: Read> Text<R> {
    /// The name of its encoding, as the WHATWG has it.
    pub(super) fn encoding(&self) -> &'static str {
        self.decoder.encoding().name()
    }

    /// Decodes the next bytes of the file.
    fn decode_some(&mut self) -> io::Result<()> {
        let mut bytes = [0; CHUNK_BYTES];
        let length = self.file.read(&mut bytes)?;
        self.is_over = length == 0;
        let mut decoded = vec![0; DECODED_BYTES];
        let (result, _, written, is_replaced) =
            self.decoder.decode_to_utf8(&bytes[..length], &mut decoded, self.is_over);
        if result == CoderResult::OutputFull || is_replaced {
            return Err(refuse(format!("the file is not {} throughout", self.encoding())));
        }
        (self.read, self.decoded) = (0, Vec::with_capacity(written));
        for &byte in &decoded[..written] {
            match byte {
                b'\n' if self.is_after_return => {}
                b'\r' => self.decoded.push(b'\n'),
                byte => self.decoded.push(byte),
            }
            self.is_after_return = byte == b'\r';
        }
        self.has_open_line = self.decoded.last().map_or(self.has_open_line, |&last| last != b'\n');
        if self.is_over && self.has_open_line {
            self.decoded.push(b'\n');
        }
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.decoded.len() && !self.is_over {
            self.decode_some()?;
        }
        let left = &self.decoded[self.read..];
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        self.read += length;
        Ok(length)
    }
}

/// How a file is encoded, which is read to its end where no mark says that it is UTF-16.
fn encoding(file: &mut impl Read) -> io::Result<&'static Encoding> {
    let (mut seen, mut rest) = (Seen::default(), Vec::new());
    let mut is_first = true;
    loop {
        let start = rest.len();
        rest.resize(start + CHUNK_BYTES, 0);
        let length = file.read(&mut rest[start..])?;
        rest.truncate(start + length);
        if is_first && let Some(encoding) = marked(&rest)? {
            return Ok(encoding);
        }
        is_first = false;
        let taken = seen.look_at(&rest, length == 0);
        rest.drain(..taken);
        if length == 0 {
            return seen.encoding();
        }
    }
}

/// The encoding that the first bytes tell; errors for those of old workbooks.
fn marked(start: &[u8]) -> io::Result<Option<&'static Encoding>> {
    if let Some((encoding, _)) = Encoding::for_bom(start).filter(|(encoding, _)| *encoding != UTF_8) {
        return Ok(Some(encoding));
    }
    Ok(match start {
        [0xd0, 0xcf, 0x11, 0xe0, ..] => {
            return Err(refuse("this is an old workbook (.xls), or one with a password: save the sheet as CSV"));
        }
        [1..=u8::MAX, 0, ..] => Some(UTF_16LE),
        [0, 1..=u8::MAX, ..] => Some(UTF_16BE),
        _ => None,
    })
}

/// What there is in a file that tells its encoding.
#[derive(Default)]
struct Seen {
    has_long_characters: bool,
    /// The first line that is no UTF-8, from 1.
    odd_line: Option<u64>,
    returns: u64,
    /// Ends of lines so far: `\n`, `\r` or both.
    lines: u64,
    newlines: u64,
    is_after_return: bool,
}

impl Seen {
    /// Looks at bytes that come next; returns how many were looked at: the last may be the beginning of a character.
    fn look_at(&mut self, bytes: &[u8], is_last: bool) -> usize {
        let mut at = 0;
        loop {
            let (valid, odd_bytes) = match str::from_utf8(&bytes[at..]) {
                Ok(_) => (bytes.len() - at, None),
                Err(error) => (error.valid_up_to(), Some(error.error_len())),
            };
            self.count(&bytes[at..at + valid]);
            at += valid;
            match odd_bytes {
                None => return at,
                Some(None) if !is_last => return at,
                Some(length) => {
                    self.odd_line.get_or_insert(self.lines + 1);
                    at += length.unwrap_or(bytes.len() - at);
                }
            }
        }
    }

    fn count(&mut self, text: &[u8]) {
        for &byte in text {
            self.has_long_characters |= !byte.is_ascii();
            match byte {
                b'\n' if self.is_after_return => self.newlines += 1,
                b'\n' => (self.newlines, self.lines) = (self.newlines + 1, self.lines + 1),
                b'\r' => (self.returns, self.lines) = (self.returns + 1, self.lines + 1),
                _ => {}
            }
            self.is_after_return = byte == b'\r';
        }
    }

    fn encoding(&self) -> io::Result<&'static Encoding> {
        match self.odd_line {
            None => Ok(UTF_8),
            Some(line) if self.has_long_characters => Err(refuse(format!("line {line} is not UTF-8, as others are"))),
            Some(_) if self.newlines == 0 && self.returns > 0 => Ok(MACINTOSH),
            Some(_) => Ok(WINDOWS_1252),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn text(bytes: &[u8]) -> Result<(String, &'static str), String> {
        let mut text = Text::open(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        let mut read = String::new();
        text.read_to_string(&mut read).map_err(|error| error.to_string())?;
        Ok((read, text.encoding()))
    }

    fn utf_16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    }

    #[test]
    fn every_encoding_that_spreadsheets_write_is_read() {
        let plain = "id;name\nä;Zoë 李 👩🏽‍🚀\n";
        let (unix, windows) = (plain.to_owned(), plain.replace('\n', "\r\n"));
        let macintosh = plain.replace('\n', "\r");
        for said in [&unix, &windows, &macintosh] {
            for mark in ["", "\u{feff}"] {
                let said = format!("{mark}{said}");
                assert_eq!(text(said.as_bytes()), Ok((plain.to_owned(), "UTF-8")), "{said:?}");
                let little = utf_16(&said, u16::to_le_bytes);
                assert_eq!(text(&little), Ok((plain.to_owned(), "UTF-16LE")), "{said:?}");
                let big = utf_16(&said, u16::to_be_bytes);
                assert_eq!(text(&big), Ok((plain.to_owned(), "UTF-16BE")), "{said:?}");
            }
        }
        assert_eq!(text(b"id;name\r\n1;M\xfcller \x80\r\n"), Ok(("id;name\n1;Müller €\n".to_owned(), "windows-1252")));
        assert_eq!(text(b"id;name\r1;M\x9fller\r"), Ok(("id;name\n1;Müller\n".to_owned(), "macintosh")));
        assert_eq!(text(b"id\r\n1"), Ok(("id\n1\n".to_owned(), "UTF-8")), "the last line ends as well");
        assert_eq!(text(b""), Ok((String::new(), "UTF-8")));
    }

    #[test]
    fn characters_over_the_edge_of_a_chunk_are_whole() {
        for before in CHUNK_BYTES - 5..CHUNK_BYTES + 2 {
            let long = format!("{}é李🚀\r\nx\r", "a".repeat(before));
            let plain = long.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(text(long.as_bytes()), Ok((plain.clone(), "UTF-8")));
            assert_eq!(text(&utf_16(&long, u16::to_le_bytes)), Ok((plain, "UTF-16LE")));
        }
    }

    #[test]
    fn what_is_damaged_or_no_text_is_refused() {
        for (bytes, said) in [
            (&b"id\n\xc3\xa9\n\xff\n"[..], "line 3 is not UTF-8"),
            (b"id\r\xc3\xa9\r\xff\r", "line 3 is not UTF-8"),
            (b"\xef\xbb\xbfid\n\xff\n", "line 2 is not UTF-8"),
            (b"\xff\xfei\0d\0\n", "not UTF-16LE throughout"),
            (b"\xd0\xcf\x11\xe0....", "old workbook"),
        ] {
            let refused = text(bytes).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
