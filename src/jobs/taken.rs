//! When a photo was taken, as its camera says in the EXIF data.

use std::io::Cursor;

use exif::{In, Reader, Tag, Value};
use jiff::{civil::DateTime, tz::Offset};

/// The camera's clock, and its distance from UTC where it says that too.
pub(crate) fn taken(photo: &[u8]) -> Option<(DateTime, Option<Offset>)> {
    let exif = Reader::new().read_from_container(&mut Cursor::new(photo)).ok()?;
    let text = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => std::str::from_utf8(lines.first()?).ok().map(str::trim),
        _ => None,
    };
    let time = DateTime::strptime("%Y:%m:%d %H:%M:%S", text(Tag::DateTimeOriginal)?).ok()?;
    Some((time, text(Tag::OffsetTimeOriginal).and_then(offset)))
}

/// Of `+02:00`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_on_both_sides_of_utc() {
        for (text, seconds) in [
            ("+02:00", Some(7200)),
            ("-09:30", Some(-34200)),
            ("Z", None),
            ("", None),
            ("+2", None),
            ("+99:00", None),
            ("+999999:00", None),
            ("-1193046:28", None),
        ] {
            assert_eq!(offset(text).map(Offset::seconds), seconds, "{text}");
        }
    }

    #[test]
    fn what_has_no_exif_has_no_time() {
        assert_eq!(taken(b""), None);
        assert_eq!(taken(&[0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]), None);
    }
}
