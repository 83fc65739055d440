//! Names as people write and search for them: in one form of Unicode, and words without case and accents.
//!
//! Text is decomposed by compatibility (NFKD) and case folded, and its marks are dropped, so `Zoë`, `ZOE` and `zoe` are
//! one word, and `Straße` and `STRASSE`. The dotless i of Turkish and letters with a stroke, which Unicode does not take
//! apart, count as the letters that people type for them. A person is found by what is typed for umlauts as well, and in
//! scripts that put no space between names by every part of a name that goes on to its end.

use std::{borrow::Cow, collections::BTreeSet, iter, ops::RangeInclusive};

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup, Script},
};

use super::person::Person;
use crate::ids::PersonId;

/// How many characters the beginnings of a word have that are in the index: with one, too many people's words begin.
const BEGINNING_CHARS: RangeInclusive<usize> = 2..=4;

/// Of a word without spaces between names, so many of its parts are found.
const MAX_PARTS: usize = 16;

/// A text in the one form of Unicode that is kept (NFC): a Mac hands out `Zoë` as five characters, others as three.
pub fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// A text in the form in which a Mac hands out the names of files (NFD).
pub fn decomposed(text: &str) -> Cow<'_, str> {
    DecomposingNormalizerBorrowed::new_nfd().normalize(text)
}

/// By what people are sorted: their names whatever the case and the accents, then as they are written, then their ids.
pub fn by_name(name: Option<&str>, person: &PersonId) -> String {
    let name = name.unwrap_or(person.as_str());
    format!("{}\0{name}\0{person}", folded(name))
}

/// The words of a text.
pub fn words(text: &str) -> BTreeSet<String> {
    parted(&folded(text)).map(str::to_owned).collect()
}

/// The words that a person is found by: those of the name and of the id, the name's also as they are typed without
/// umlauts, and parts of those that no space parts.
pub fn words_of(person: &Person) -> BTreeSet<String> {
    let (name, typed) = (folded(&person.name), folded(&without_umlauts(&person.name)));
    let of_name = parted(&name).chain(parted(&typed)).flat_map(parts).map(str::to_owned);
    of_name.chain(words(person.id.as_str())).collect()
}

fn parted(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(is_gap).filter(|word| !word.is_empty())
}

/// As German and the Nordic languages are typed where the letters are missing: `Mueller`, `Aase`.
fn without_umlauts(name: &str) -> String {
    let mut typed = String::with_capacity(name.len());
    for c in composed(name).chars() {
        match c {
            'ä' | 'Ä' | 'æ' | 'Æ' => typed.push_str("ae"),
            'ö' | 'Ö' | 'ø' | 'Ø' => typed.push_str("oe"),
            'ü' | 'Ü' => typed.push_str("ue"),
            'å' | 'Å' => typed.push_str("aa"),
            c => typed.push(c),
        }
    }
    typed
}

/// A word, and what is left of it from every later character on where nothing parts a family's name from the given one.
fn parts(word: &str) -> impl Iterator<Item = &str> {
    let later = word.char_indices().skip(1).filter(|&(_, c)| begins_part(c)).map(|(start, _)| &word[start..]);
    iter::once(word).chain(later.take(MAX_PARTS))
}

/// Whether a name may begin here without a space before it. Korean is decomposed: a syllable begins with a leading
/// consonant.
fn begins_part(c: char) -> bool {
    const UNSPACED: [Script; 8] = [
        Script::Han,
        Script::Hiragana,
        Script::Katakana,
        Script::Bopomofo,
        Script::Thai,
        Script::Lao,
        Script::Khmer,
        Script::Myanmar,
    ];
    matches!(c, '\u{1100}'..='\u{115f}') || UNSPACED.contains(&CodePointMapData::<Script>::new().get(c))
}

/// A text without case, accents, gaps and signs: what people write in many ways and mean as one, such as the headings of
/// a table. `E-Mail` is `email`, `N° d’élève` is `ndeleve`.
pub fn bare(text: &str) -> String {
    folded(text).chars().filter(|c| c.is_alphanumeric()).collect()
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

/// The text without case and accents, to be compared.
fn folded(text: &str) -> String {
    let plain = |text: &str| -> String {
        DecomposingNormalizerBorrowed::new_nfkd().normalize(text).chars().filter(|&c| !is_dropped(c)).collect()
    };
    // Folding can bring forth what has to be decomposed again.
    let folded = plain(&CaseMapper::new().fold_string(&plain(text)));
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
        assert!(are_found(&words("ada 101 CS"), &words_of(&person("2024/cs_101", "Ada"))));
    }

    fn person(id: &str, name: &str) -> Person {
        Person::new(id.parse().unwrap(), name.into(), jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_person_is_found_as_their_name_is_typed_elsewhere() {
        for (query, name) in [
            ("mueller", "Jürgen Müller"),
            ("muller jurgen", "Jürgen Müller"),
            ("Müller", "Mu\u{308}ller"),
            ("mueller", "MU\u{308}LLER"),
            ("soeren", "Søren"),
            ("aase", "Åse"),
            ("小明", "李小明"),
            ("明", "李小明"),
            ("李小", "李小明"),
            ("さくら", "田中さくら"),
            ("민준", "김민준"),
            ("김민", "김민준"),
            ("ชาย", "สมชาย"),
        ] {
            assert!(are_found(&words(query), &words_of(&person("p", name))), "{query} {name}");
        }
        for (query, name) in [("ller", "Müller"), ("uller", "Müller"), ("李明", "李小明"), ("mueller", "Muller")]
        {
            assert!(!are_found(&words(query), &words_of(&person("p", name))), "{query} {name}");
        }
        assert!(words_of(&person("p", &"明".repeat(200))).len() <= MAX_PARTS + 2);
    }

    #[test]
    fn two_forms_of_a_text_are_composed_to_one() {
        for (text, expected) in [("Zoe\u{308}", "Zoë"), ("Zoë", "Zoë"), ("\u{1112}\u{1161}\u{11ab}", "한"), ("", "")]
        {
            assert_eq!(composed(text), expected);
            assert_eq!(composed(&decomposed(text)), expected);
        }
    }

    #[test]
    fn what_is_written_in_many_ways_is_one() {
        for (text, expected) in [
            ("E-Mail", "email"),
            (" e mail: ", "email"),
            ("Prénom", "prenom"),
            ("Matrícula n.º 7", "matriculano7"),
            ("Straße_Nr", "strassenr"),
            ("—", ""),
        ] {
            assert_eq!(bare(text), expected);
        }
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
