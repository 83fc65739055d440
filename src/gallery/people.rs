//! Whose rows there are. A person is a number here; the id is kept once, as text among texts.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::column::{Column, ColumnView, Slots};
use domain::PersonId;

/// Stands for "no row" and "no more rows".
pub(super) const NO_ROW: u32 = u32::MAX;

/// Bytes in the first chunk of texts, and how often chunks double: up to 1 MiB.
const TEXT_CHUNKS: (usize, u32) = (1024, 10);
/// The same for where the texts begin, in people.
const START_CHUNKS: (usize, u32) = (64, 12);

/// Tables over which the numbers are spread: one at a time grows, and searches wait for no more than that.
const TABLES: usize = 64;

/// The ids of people by their numbers.
struct Texts {
    /// A length byte and the text, for each person.
    bytes: Column<u8>,
    starts: Column<u32>,
}

/// The ids as they were when the view was taken.
#[derive(Clone)]
pub(super) struct Names {
    bytes: ColumnView<u8>,
    starts: ColumnView<u32>,
}

impl Names {
    /// A person's id, as text.
    pub(super) fn text(&self, person: u32) -> &str {
        text(&self.bytes, &self.starts, person)
    }

    /// A person's id.
    #[expect(clippy::expect_used, reason = "it came from an id, and the rules for ids are the same since")]
    pub(super) fn id(&self, person: u32) -> PersonId {
        self.text(person).parse().expect("the text of an id")
    }
}

fn text<'a>(bytes: &'a ColumnView<u8>, starts: &ColumnView<u32>, person: u32) -> &'a str {
    let start = starts.get(person as usize) as usize;
    let len = bytes.get(start) as usize;
    // Ids are ASCII, so the bytes of one are always a text.
    std::str::from_utf8(bytes.slice(start + 1, len)).unwrap_or_default()
}

/// All people, numbered from 0 in the order in which they came. A number is kept when its person has no rows left,
/// until the gallery is rebuilt.
pub(super) struct People {
    texts: Texts,
    numbers: [HashTable<u32>; TABLES],
    hasher: RandomState,
    /// A person's latest row, by number; the others hang behind it.
    first_rows: Slots,
    /// How many have rows.
    present: usize,
}

impl People {
    pub(super) fn new() -> Self {
        let texts = Texts {
            bytes: Column::new(TEXT_CHUNKS.0, TEXT_CHUNKS.1),
            starts: Column::new(START_CHUNKS.0, START_CHUNKS.1),
        };
        let (numbers, hasher) = (std::array::from_fn(|_| HashTable::new()), RandomState::new());
        Self { texts, numbers, hasher, first_rows: Slots::default(), present: 0 }
    }

    /// How many people have rows.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// The ids, as they are now.
    pub(super) fn names(&self) -> Names {
        Names { bytes: self.texts.bytes.view(), starts: self.texts.starts.view() }
    }

    /// A person's number, if they ever had rows.
    pub(super) fn number(&self, id: &str) -> Option<u32> {
        let Texts { bytes, starts } = &self.texts;
        let hash = self.hasher.hash_one(id);
        self.numbers[table(hash)].find(hash, |&person| text(bytes, starts, person) == id).copied()
    }

    /// A person's number, new if they have none.
    pub(super) fn number_or_new(&mut self, id: &str) -> u32 {
        if let Some(person) = self.number(id) {
            return person;
        }
        let person = self.first_rows.len() as u32;
        let record: Vec<u8> = std::iter::once(id.len() as u8).chain(id.bytes()).collect();
        let Texts { bytes, starts } = &mut self.texts;
        let start = bytes.push(&record) as u32;
        starts.push(&[start]);
        self.first_rows.push(NO_ROW);
        let hash_of = |id: &str| self.hasher.hash_one(id);
        let hash = hash_of(id);
        self.numbers[table(hash)].insert_unique(hash, person, |&person| hash_of(text(bytes, starts, person)));
        person
    }

    /// A person's latest row, or [`NO_ROW`].
    pub(super) fn first_row(&self, person: u32) -> u32 {
        self.first_rows.get(person as usize)
    }

    /// Says which row is a person's latest.
    pub(super) fn set_first_row(&mut self, person: u32, row: u32) {
        match (self.first_row(person) == NO_ROW, row == NO_ROW) {
            (true, false) => self.present += 1,
            (false, true) => self.present -= 1,
            _ => {}
        }
        self.first_rows.set(person as usize, row);
    }

    /// Bytes of memory, about.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.texts.bytes.capacity_bytes()
            + self.texts.starts.capacity_bytes()
            + self.first_rows.capacity_bytes()
            + self.numbers.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}

/// The table of a hash: by its middle bits, as the table itself goes by the others.
const fn table(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_keep_their_numbers_and_are_counted_while_they_have_rows() {
        let mut people = People::new();
        let ids: Vec<String> = (0..3000).map(|n| format!("{}{n}", "x".repeat(n % 120))).collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(people.number(id), None);
            assert_eq!(people.number_or_new(id), n as u32);
            people.set_first_row(n as u32, 7);
        }
        let names = people.names();
        people.number_or_new("later");
        for (n, id) in ids.iter().enumerate() {
            assert_eq!((people.number(id), names.text(n as u32)), (Some(n as u32), id.as_str()));
        }
        assert_eq!(names.id(5).as_str(), ids[5]);
        people.set_first_row(5, NO_ROW);
        people.set_first_row(5, NO_ROW);
        people.set_first_row(6, 9);
        assert_eq!((people.present(), people.first_row(6)), (2999, 9));
    }
}
