//! Ids that are made from names, for people who are enrolled by their names alone: what somebody can read, type and say.

use deunicode::deunicode;

use super::words::composed;
use crate::ids::{MAX_ID_BYTES, PersonId};

/// The longest name in an id, in bytes: behind it there is room for a number.
const MAX_NAME_BYTES: usize = 100;
const _: () = assert!(MAX_NAME_BYTES + "-4294967295".len() <= MAX_ID_BYTES);
/// Where a name has no letter that can be read.
const NAMELESS: &str = "person";

/// The id number `number`, from 1, that a name makes: `bjorn-astrom`, `bjorn-astrom-2`, … The same every time.
pub fn readable_id(name: &str, number: u32) -> PersonId {
    let letters = deunicode(&composed(name.trim())).to_lowercase().replace('\'', "");
    let words = letters.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = words.collect::<Vec<_>>().join("-");
    id.truncate(MAX_NAME_BYTES); // It is ASCII.
    let id = Some(id.trim_end_matches('-')).filter(|id| !id.is_empty()).unwrap_or(NAMELESS);
    let id = if number > 1 { format!("{id}-{number}") } else { id.to_owned() };
    id.parse().unwrap_or_else(|_| PersonId::generate()) // Letters, digits and hyphens always are one.
}

/// Whether two names are one, however their accents are stored: some systems take a letter and its accent apart.
pub fn is_one_name(one: &str, other: &str) -> bool {
    composed(one.trim()) == composed(other.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_make_ids_that_can_be_read() {
        let table = [
            ("Björn Åström", 1, "bjorn-astrom"),
            ("Bjo\u{308}rn A\u{30a}stro\u{308}m", 1, "bjorn-astrom"),
            ("Björn Åström", 2, "bjorn-astrom-2"),
            ("Seán O’Brien", 1, "sean-obrien"),
            ("François-Xavier  (7b)", 3, "francois-xavier-7b-3"),
            ("Łukasz Øst", 1, "lukasz-ost"),
            ("Straße", 1, "strasse"),
            ("李小明", 1, "li-xiao-ming"),
            ("Юлия", 1, "iuliia"),
            ("…", 1, "person"),
            ("?", 4, "person-4"),
        ];
        for (name, number, id) in table {
            assert_eq!(readable_id(name, number).as_str(), id, "{name}");
        }
        assert_eq!(readable_id(&"é ".repeat(200), u32::MAX).as_str().len(), 99 + "-4294967295".len());
    }

    #[test]
    fn a_name_is_the_same_one_with_its_accents_apart() {
        assert!(is_one_name("Zoë", " Zoe\u{308}"));
        assert!(!is_one_name("Zoë", "Zoe"));
        assert!(!is_one_name("Zoë", "zoë"));
    }

    proptest! {
        #[test]
        fn any_name_makes_an_id_and_other_numbers_make_others(name in any::<String>(), one: u32, other: u32) {
            let (first, second) = (readable_id(&name, one), readable_id(&name, other));
            prop_assert!(first.as_str().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert_eq!(&first, &readable_id(&name, one));
            prop_assert_eq!(first == second, one.max(1) == other.max(1));
        }
    }
}
