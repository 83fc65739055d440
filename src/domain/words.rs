//! Names as people search for them: words without case and accents.
//!
//! Text is decomposed by compatibility (NFKD) and case folded, and its marks are dropped, so `Zoë`, `ZOE` and `zoe` are
//! one word, and `Straße` and `STRASSE`. The dotless i of Turkish and letters with a stroke, which Unicode does not take
//! apart, count as the letters that people type for them.

use std::{collections::BTreeSet, ops::RangeInclusive};

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup},
};

use super::person::Person;

/// How many characters the beginnings of a word have that are in the index: with one, too many people's words begin.
const BEGINNING_CHARS: RangeInclusive<usize> = 2..=4;

/// The words of a text.
pub fn words(text: &str) -> BTreeSet<String> {
    folded(text).split(is_gap).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The words that a person is found by: those of the name and of the id.
pub fn words_of(person: &Person) -> BTreeSet<String> {
    words(&person.name).into_iter().chain(words(person.id.as_str())).collect()
}

/// Whether every word of a query is the beginning of one of `words`.
pub fn are_found(query: &BTreeSet<String>, words: &BTreeSet<String>) -> bool {
    // The words that begin with one come right after it.
    let is_found =
        |part: &String| words.range(part.clone()..).next().is_some_and(|word| word.starts_with(part.as_str()));
    query.iter().all(is_found)
}

/// The beginnings of a word that are in the index.
pub fn beginnings(word: &str) -> impl Iterator<Item = &str> {
    let ends = word.char_indices().map(|(start, c)| start + c.len_utf8());
    ends.enumerate().filter(|(n, _)| BEGINNING_CHARS.contains(&(n + 1))).map(|(_, end)| &word[..end])
}

/// The longest beginning of a word that is in the index; `None` for a word that is shorter than those.
pub fn longest_beginning(word: &str) -> Option<&str> {
    beginnings(word).last()
}

fn folded(text: &str) -> String {
    let decomposed = |text: &str| -> String {
        DecomposingNormalizerBorrowed::new_nfkd().normalize(text).chars().filter(|&c| !is_dropped(c)).collect()
    };
    // Folding can bring forth what has to be decomposed again.
    let folded = decomposed(&CaseMapper::new().fold_string(&decomposed(text)));
    let mut plain = String::with_capacity(folded.len());
    for c in folded.chars() {
        match plain_letter(c) {
            Some(letters) => plain.push_str(letters),
            None => plain.push(c),
        }
    }
    plain
}

/// Marks above and below, the invisible, and apostrophes: `O'Brien` is one word.
fn is_dropped(c: char) -> bool {
    let dropped = GeneralCategoryGroup::NonspacingMark
        .union(GeneralCategoryGroup::EnclosingMark)
        .union(GeneralCategoryGroup::Format);
    dropped.contains(category(c)) || matches!(c, '\'' | '‘' | '’' | 'ʼ')
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || GeneralCategoryGroup::Punctuation.contains(category(c))
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

const fn plain_letter(c: char) -> Option<&'static str> {
    Some(match c {
        'ı' => "i",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ł' => "l",
        'ŧ' => "t",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, name: &str) -> bool {
        are_found(&words(query), &words(name))
    }

    #[test]
    fn case_and_accents_make_no_difference() {
        let alike = [
            ("zoe", "Zoë"),
            ("ZOË", "zoe\u{308}"),
            ("strasse", "Straße"),
            ("STRAẞE", "strasse"),
            ("istanbul", "İstanbul"),
            ("ISIK", "ışık"),
            ("ışık", "IŞIK"),
            ("soren", "Søren"),
            ("lodz", "Łódź"),
            ("ngo dinh diem", "Ngô Đình Diệm"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ﬁona", "Fiona"),
            ("ａｄａ", "Ada"),
            ("李", "李小龍"),
            ("محمد", "مُحَمَّد"),
            ("שלום", "שָׁלוֹם"),
            ("obrien", "O’Brien"),
            ("o'brien", "OBrien"),
            ("luc", "Jean-Luc"),
            ("👩🚀", "Ada 👩\u{200d}🚀"),
            ("z", "\u{202e}zalgo\u{202c}"),
        ];
        for (query, name) in alike {
            assert!(found(query, name), "{query} {:?} {name} {:?}", words(query), words(name));
        }
    }

    #[test]
    fn every_word_of_the_query_begins_a_word_of_the_name() {
        assert!(found("lov a", "Ada Lovelace") && found("", "Ada") && found(" - ", "Ada"));
        for (query, name) in [("da", "Ada"), ("ada x", "Ada"), ("adaa", "Ada"), ("love lace", "Ada Lovelace")] {
            assert!(!found(query, name), "{query} {name}");
        }
        let person = Person::new("2024/cs_101".parse().unwrap(), "Ada".into(), jiff::Timestamp::UNIX_EPOCH);
        assert!(are_found(&words("ada 101 CS"), &words_of(&person)));
    }

    #[test]
    fn a_word_is_looked_up_by_its_longest_beginning() {
        let long = "é".repeat(200);
        let only = words(&long).pop_first().unwrap();
        assert_eq!((only.chars().count(), longest_beginning(&only)), (200, Some("eeee")));
        assert_eq!(beginnings("ada").collect::<Vec<_>>(), ["ad", "ada"]);
        assert_eq!(beginnings("محمد علي").collect::<Vec<_>>(), ["مح", "محم", "محمد"]);
        assert_eq!((longest_beginning("a"), longest_beginning("")), (None, None));
        assert_eq!(words(&"a ".repeat(100)).len(), 1);
    }
}
