//! What cameras say beside the pixels (EXIF 2.32, in the format of TIFF 6.0): how they were held, and when.
//!
//! Each field is looked up by itself, without a list of all: what is broken elsewhere in the block (a pointer that leads
//! out of it, a list that breaks off) takes nothing away of what is sound, and no memory is taken for what a file claims.

use jiff::{civil::DateTime, tz::Offset};

use super::orientation::Orientation;

/// Before the block in a JPEG; some writers put it into WebP and PNG as well, where it does not belong.
pub(crate) const PREFIX: &[u8] = b"Exif\0\0";

/// Where the place of the first directory is named.
const FIRST_NAMED_AT: usize = 4;
/// A tag, the type of its numbers, how many there are, and they or their place.
const ENTRY_BYTES: usize = 12;
/// Of a time as text, without its end.
const TIME_BYTES: usize = 19;
/// The furthest that a clock is set from UTC anywhere.
const MAX_OFFSET_MINUTES: i32 = 14 * 60;

/// The numbers of EXIF's table 4 and 5.
mod tag {
    pub(super) const ORIENTATION: u16 = 0x0112;
    pub(super) const EXIF: u16 = 0x8769;
    pub(super) const GPS: u16 = 0x8825;
    pub(super) const TIME_ORIGINAL: u16 = 0x9003;
    pub(super) const TIME_DIGITIZED: u16 = 0x9004;
    pub(super) const OFFSET_ORIGINAL: u16 = 0x9011;
    pub(super) const OFFSET_DIGITIZED: u16 = 0x9012;
    pub(super) const GPS_TIME: u16 = 0x0007;
    pub(super) const GPS_DATE: u16 = 0x001D;
}

/// The types of numbers that are read.
mod kind {
    pub(super) const ASCII: u16 = 2;
    pub(super) const SHORT: u16 = 3;
    pub(super) const LONG: u16 = 4;
    pub(super) const RATIONAL: u16 = 5;
}

/// A block of EXIF.
#[derive(Clone, Copy)]
pub(crate) struct Exif<'a> {
    block: &'a [u8],
    is_little: bool,
}

impl<'a> Exif<'a> {
    /// The block, with its prefix or without; `None` for anything else.
    pub(crate) fn new(block: &'a [u8]) -> Option<Self> {
        let block = block.strip_prefix(PREFIX).unwrap_or(block);
        let is_little = block.starts_with(b"II*\0");
        (is_little || block.starts_with(b"MM\0*")).then_some(Self { block, is_little })
    }

    /// How the camera was held, as SHORT or LONG.
    pub(crate) fn orientation(self) -> Option<Orientation> {
        let value = self.number(self.first()?, tag::ORIENTATION)?;
        Orientation::from_exif(u8::try_from(value).ok()?)
    }

    /// The camera's clock when the picture was taken, else when it was digitised, and its distance from UTC where that is
    /// said too; else the satellites' time.
    pub(crate) fn taken(self) -> Option<(DateTime, Option<Offset>)> {
        let clock = |time, distance| {
            let (time, own_offset) = self.find_text(time).and_then(parsed_time)?;
            Some((time, own_offset.or_else(|| self.find_text(distance).and_then(parsed_offset))))
        };
        clock(tag::TIME_ORIGINAL, tag::OFFSET_ORIGINAL)
            .or_else(|| clock(tag::TIME_DIGITIZED, tag::OFFSET_DIGITIZED))
            .or_else(|| Some((self.satellites_time()?, Some(Offset::UTC))))
    }

    fn satellites_time(self) -> Option<DateTime> {
        let gps = self.number(self.first()?, tag::GPS)? as usize;
        let date = self.text(gps, tag::GPS_DATE)?;
        let (kind, count, place) = self.entry(gps, tag::GPS_TIME)?;
        if (kind, count) != (kind::RATIONAL, 3) {
            return None;
        }
        let place = self.long(place)? as usize;
        let [hour, minute, second] = [0, 8, 16].map(|at| {
            let (over, under) = (self.long(place + at)?, self.long(place + at + 4)?);
            over.checked_div(under)
        });
        let (hour, minute, second) = (hour?, minute?, second?);
        Some(parsed_time(&format!("{date} {hour:02}:{minute:02}:{second:02}"))?.0)
    }

    /// In the directory that it belongs to, or in the first, where some put it.
    fn find_text(self, tag: u16) -> Option<&'a str> {
        let first = self.first()?;
        let own = self.number(first, tag::EXIF).and_then(|directory| self.text(directory as usize, tag));
        own.or_else(|| self.text(first, tag))
    }

    fn first(self) -> Option<usize> {
        Some(self.long(FIRST_NAMED_AT)? as usize)
    }

    /// The type of a field's numbers, how many there are, and where they or their place stand.
    fn entry(self, directory: usize, tag: u16) -> Option<(u16, u32, usize)> {
        let start = directory.checked_add(2)?;
        let mut places = (0..usize::from(self.short(directory)?)).map(|number| start + number * ENTRY_BYTES);
        // What breaks off ends the search.
        let at = places.find_map(|at| match self.short(at) {
            Some(found) => (found == tag).then_some(Some(at)),
            None => Some(None),
        })??;
        Some((self.short(at + 2)?, self.long(at + 4)?, at + 8))
    }

    /// A single number.
    fn number(self, directory: usize, tag: u16) -> Option<u32> {
        match self.entry(directory, tag)? {
            (kind::SHORT, 1, at) => self.short(at).map(u32::from),
            (kind::LONG, 1, at) => self.long(at),
            _ => None,
        }
    }

    /// A text without its end.
    fn text(self, directory: usize, tag: u16) -> Option<&'a str> {
        let (kind::ASCII, count, at) = self.entry(directory, tag)? else { return None };
        let at = if count <= 4 { at } else { self.long(at)? as usize };
        let bytes = self.block.get(at..at.checked_add(count as usize)?)?;
        let text = bytes.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(text).ok().map(str::trim)
    }

    fn short(self, at: usize) -> Option<u16> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(self, at: usize) -> Option<u32> {
        let bytes = *self.block.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}

/// Of `2026:11:23 09:15:00`, also with other signs between the numbers, a part of a second, and its distance from UTC.
/// Hour 24 is the first hour of the date: so phones write it that count hours from 1 to 24.
fn parsed_time(text: &str) -> Option<(DateTime, Option<Offset>)> {
    let (time, rest) = text.split_at_checked(TIME_BYTES)?;
    if !time.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() != matches!(at, 4 | 7 | 10 | 13 | 16)) {
        return None;
    }
    let number = |from, to| time.get(from..to)?.parse::<i8>().ok();
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let hour = if hour == 24 { 0 } else { hour };
    let time = DateTime::new(time.get(..4)?.parse().ok()?, month, day, hour, minute, second, 0).ok()?;
    let behind = rest.trim_start_matches(|sign: char| sign == '.' || sign.is_ascii_digit());
    Some((time, parsed_offset(behind.trim())))
}

/// Of `+02:00`, `+0200`, `+02` and `Z`.
fn parsed_offset(text: &str) -> Option<Offset> {
    if matches!(text, "Z" | "z") {
        return Some(Offset::UTC);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let minutes = if minutes.is_empty() { "00" } else { minutes };
    let are_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(hours) || !are_digits(minutes) {
        return None;
    }
    let minutes = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok().filter(|&minutes| minutes < 60)?;
    (minutes <= MAX_OFFSET_MINUTES).then(|| Offset::from_seconds(sign * minutes * 60).ok())?
}

#[cfg(test)]
pub(crate) mod tests {
    //! Blocks of EXIF are made here for the tests of photos as well.

    use jiff::civil::date;

    use super::*;

    /// A field: its tag, its type, and its numbers as bytes.
    pub(crate) type Field = (u16, u16, Vec<u8>);

    pub(crate) fn short(tag: u16, value: u16) -> Field {
        (tag, kind::SHORT, value.to_be_bytes().into())
    }

    pub(crate) fn long(tag: u16, value: u32) -> Field {
        (tag, kind::LONG, value.to_be_bytes().into())
    }

    fn ascii(tag: u16, text: &str) -> Field {
        (tag, kind::ASCII, [text.as_bytes(), b"\0"].concat())
    }

    fn size_of(kind: u16) -> usize {
        match kind {
            kind::ASCII => 1,
            kind::SHORT => 2,
            kind::LONG => 4,
            _ => 8,
        }
    }

    /// A block of directories, each named by a tag of the first; big-endian.
    pub(crate) fn block(first: &[Field], others: &[(u16, &[Field])]) -> Vec<u8> {
        let size = |fields: &[Field], more: usize| -> usize {
            let data = fields.iter().filter(|(.., data)| data.len() > 4).map(|(.., data)| data.len());
            6 + (fields.len() + more) * ENTRY_BYTES + data.sum::<usize>()
        };
        let mut place = 8 + size(first, others.len());
        let mut first = first.to_vec();
        for (tag, fields) in others {
            first.push(long(*tag, place as u32));
            place += size(fields, 0);
        }
        let mut bytes = b"MM\0*\0\0\0\x08".to_vec();
        for fields in std::iter::once(first.as_slice()).chain(others.iter().map(|(_, fields)| *fields)) {
            let mut data_at = bytes.len() + 6 + fields.len() * ENTRY_BYTES;
            let mut data_behind: Vec<u8> = Vec::new();
            bytes.extend((fields.len() as u16).to_be_bytes());
            for (tag, kind, data) in fields {
                bytes.extend([tag.to_be_bytes(), kind.to_be_bytes()].concat());
                bytes.extend(((data.len() / size_of(*kind)) as u32).to_be_bytes());
                if data.len() <= 4 {
                    bytes.extend(data);
                    bytes.resize(bytes.len() + 4 - data.len(), 0);
                } else {
                    bytes.extend((data_at as u32).to_be_bytes());
                    data_at += data.len();
                    data_behind.extend(data);
                }
            }
            bytes.extend([0; 4]);
            bytes.extend(data_behind);
        }
        bytes
    }

    fn taken(block: &[u8]) -> Option<(DateTime, Option<i32>)> {
        let (time, offset) = Exif::new(block)?.taken()?;
        Some((time, offset.map(Offset::seconds)))
    }

    const TIME: &str = "2026:11:23 09:15:00";

    #[test]
    fn a_time_is_found_wherever_cameras_put_it() {
        let expected = date(2026, 11, 23).at(9, 15, 0, 0);
        let original = ascii(tag::TIME_ORIGINAL, TIME);
        let gps = [
            ascii(tag::GPS_DATE, "2026:11:23"),
            (tag::GPS_TIME, kind::RATIONAL, [9_u32, 1, 15, 1, 0, 1].map(u32::to_be_bytes).concat()),
        ];
        let places: [(&str, Vec<u8>, Option<i32>); 6] = [
            ("its directory", block(&[], &[(tag::EXIF, std::slice::from_ref(&original))]), None),
            ("the first directory", block(std::slice::from_ref(&original), &[]), None),
            ("digitised", block(&[], &[(tag::EXIF, &[ascii(tag::TIME_DIGITIZED, TIME)])]), None),
            ("satellites", block(&[], &[(tag::GPS, &gps)]), Some(0)),
            (
                "with its distance",
                block(&[], &[(tag::EXIF, &[original.clone(), ascii(tag::OFFSET_ORIGINAL, "-09:30")])]),
                Some(-34200),
            ),
            (
                "before the satellites' time, which may be old",
                block(&[], &[(tag::EXIF, std::slice::from_ref(&original)), (tag::GPS, &gps)]),
                None,
            ),
        ];
        for (what, block, offset) in places {
            assert_eq!(taken(&block), Some((expected, offset)), "{what}");
            assert_eq!(taken(&[PREFIX, &block].concat()), Some((expected, offset)), "{what}, with the prefix");
        }
    }

    #[test]
    fn what_is_broken_elsewhere_takes_nothing_away() {
        let whole = block(
            &[short(tag::ORIENTATION, 6), long(tag::GPS, 0x00FF_FFFF), (0x010F, kind::ASCII, vec![b'x'; 9])],
            &[(tag::EXIF, &[ascii(tag::TIME_ORIGINAL, TIME), (0x927C, 7, vec![0; 40])])],
        );
        let expected = Some((date(2026, 11, 23).at(9, 15, 0, 0), None));
        let orientation = |block: &[u8]| Exif::new(block).and_then(Exif::orientation).map(Orientation::to_exif);
        assert_eq!((taken(&whole), orientation(&whole)), (expected, Some(6)));
        // A field of a nonsensical type, of nonsensical length, or at a nonsensical place.
        for entry in [1, 2] {
            for (at, bytes) in [(2, [0xFF; 2]), (4, [0xFF; 2]), (8, [0xFF; 2])] {
                let mut broken = whole.clone();
                broken[10 + entry * ENTRY_BYTES + at..][..2].copy_from_slice(&bytes);
                assert_eq!((taken(&broken), orientation(&broken)), (expected, Some(6)), "entry {entry}, byte {at}");
            }
        }
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(taken(cut).is_none_or(|found| Some(found) == expected), "cut to {length}");
            assert!(orientation(cut).is_none_or(|found| found == 6), "cut to {length}");
        }
    }

    #[test]
    fn orientation_is_read_as_short_and_as_long() {
        for (field, expected) in [
            (short(tag::ORIENTATION, 8), Some(8)),
            (long(tag::ORIENTATION, 8), Some(8)),
            (short(tag::ORIENTATION, 9), None),
            (long(tag::ORIENTATION, 0x0001_0008), None),
            (ascii(tag::ORIENTATION, "8"), None),
        ] {
            let block = block(std::slice::from_ref(&field), &[]);
            assert_eq!(Exif::new(&block).and_then(Exif::orientation).map(Orientation::to_exif), expected, "{field:?}");
        }
    }

    #[test]
    fn times_are_read_as_cameras_write_them() {
        let at = |hour, minute, second| Some(date(2026, 11, 23).at(hour, minute, second, 0));
        for (text, expected, offset) in [
            (TIME, at(9, 15, 0), None),
            ("2026-11-23T09:15:00", at(9, 15, 0), None),
            ("2026:11:23 09:15:00.25", at(9, 15, 0), None),
            ("2026:11:23 09:15:00Z", at(9, 15, 0), Some(0)),
            ("2026:11:23 09:15:00.5 +05:30", at(9, 15, 0), Some(19800)),
            ("2026:11:23 24:10:05", at(0, 10, 5), None),
            ("2026:11:23 25:10:05", None, None),
            ("2026:13:23 09:15:00", None, None),
            ("0000:00:00 00:00:00", None, None),
            ("    :  :     :  :  ", None, None),
            ("2026:11:23", None, None),
            ("", None, None),
        ] {
            let found = parsed_time(text);
            assert_eq!(found.map(|(time, _)| time), expected, "{text}");
            assert_eq!(found.and_then(|(_, offset)| offset).map(Offset::seconds), offset, "{text}");
        }
    }

    #[test]
    fn offsets_are_read_on_both_sides_of_utc() {
        for (text, seconds) in [
            ("+02:00", Some(7200)),
            ("-09:30", Some(-34200)),
            ("+0545", Some(20700)),
            ("+14:00", Some(50400)),
            ("+01", Some(3600)),
            ("Z", Some(0)),
            ("", None),
            ("+2", None),
            ("+02:60", None),
            ("+15:00", None),
            ("+99:00", None),
            ("+999999:00", None),
            ("-1193046:28", None),
            ("+é0", None),
        ] {
            assert_eq!(parsed_offset(text).map(Offset::seconds), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_exif_says_nothing() {
        for bytes in [&b""[..], b"Exif\0\0", b"II*\0", b"MM\0*\xFF\xFF\xFF\xFF", b"MM\0*\0\0\0\x08\xFF\xFF"] {
            assert!(Exif::new(bytes).is_none_or(|exif| exif.taken().is_none() && exif.orientation().is_none()));
        }
    }
}
