//! The order in which those who wait are served: by class of service, then by rank, then one of each key in turn, then
//! first come first served. A key is whoever must not crowd out the others; in its line it may wait with as many as it
//! likes, and another key's one waits for no more than one of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

/// Who waits for a task, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceClass {
    /// A person.
    Interactive,
    /// A live source: what is late is stale, so it goes before bulk.
    Stream,
    /// A job that runs in its own time.
    Bulk,
}

/// When somebody's turn is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Who waits.
    pub class: ServiceClass,
    /// Those of one class who take turns with those of other keys.
    pub key: Arc<str>,
}

impl Turn {
    /// The turn of those of `class` who belong to `key`.
    pub fn new(class: ServiceClass, key: &str) -> Self {
        Self { class, key: key.into() }
    }
}

/// A place in the line.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    rank: Rank,
    key: Arc<str>,
    sequence: u64,
}

/// The higher number first within a class.
type Rank = (ServiceClass, Reverse<u8>);

/// See the module. Taking one out of the middle is about as cheap as taking the first.
#[derive(Debug)]
pub(super) struct Line<T> {
    rings: BTreeMap<Rank, Ring<T>>,
    next_sequence: u64,
}

/// The keys of one rank, of each of which at least one waits.
#[derive(Debug)]
struct Ring<T> {
    /// The next one first.
    order: VecDeque<Arc<str>>,
    waiting: HashMap<Arc<str>, BTreeMap<u64, T>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { rings: BTreeMap::new(), next_sequence: 0 }
    }
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new() }
    }
}

impl<T> Line<T> {
    pub(super) fn push(&mut self, turn: &Turn, rank: u8, one: T) -> Ticket {
        let ticket =
            Ticket { rank: (turn.class, Reverse(rank)), key: Arc::clone(&turn.key), sequence: self.next_sequence };
        self.next_sequence += 1;
        let ring = self.rings.entry(ticket.rank).or_default();
        let of_key = ring.waiting.entry(Arc::clone(&ticket.key)).or_default();
        if of_key.is_empty() {
            ring.order.push_back(Arc::clone(&ticket.key));
        }
        of_key.insert(ticket.sequence, one);
        ticket
    }

    /// The class of the next one.
    pub(super) fn next_class(&self) -> Option<ServiceClass> {
        self.rings.first_key_value().map(|(&(class, _), _)| class)
    }

    /// Takes out the next one.
    pub(super) fn pop(&mut self) -> Option<T> {
        let mut entry = self.rings.first_entry()?;
        let ring = entry.get_mut();
        let key = ring.order.pop_front()?;
        let of_key = ring.waiting.get_mut(&key)?;
        let (_, one) = of_key.pop_first()?;
        if of_key.is_empty() {
            ring.waiting.remove(&key);
        } else {
            ring.order.push_back(key);
        }
        if ring.order.is_empty() {
            entry.remove();
        }
        Some(one)
    }

    /// Takes out one that still waits.
    pub(super) fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let ring = self.rings.get_mut(&ticket.rank)?;
        let of_key = ring.waiting.get_mut(&ticket.key)?;
        let one = of_key.remove(&ticket.sequence)?;
        if of_key.is_empty() {
            ring.waiting.remove(&ticket.key);
            ring.order.retain(|key| *key != ticket.key);
        }
        if ring.order.is_empty() {
            self.rings.remove(&ticket.rank);
        }
        Some(one)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{ServiceClass::*, *};

    fn drained<T>(line: &mut Line<T>) -> Vec<T> {
        std::iter::from_fn(|| line.pop()).collect()
    }

    #[test]
    fn class_then_higher_rank_then_first_come() {
        let mut line = Line::default();
        for (class, rank, name) in [
            (Bulk, 9, "bulk late"),
            (Interactive, 0, "interactive early, first"),
            (Interactive, 0, "interactive early, second"),
            (Stream, 3, "stream"),
            (Bulk, 1, "bulk early"),
            (Interactive, 4, "interactive late"),
        ] {
            line.push(&Turn::new(class, "one"), rank, name);
        }
        assert_eq!(line.next_class(), Some(Interactive));
        assert_eq!(
            drained(&mut line),
            [
                "interactive late",
                "interactive early, first",
                "interactive early, second",
                "stream",
                "bulk late",
                "bulk early"
            ]
        );
        assert!(line.is_empty() && line.next_class().is_none());
    }

    #[test]
    fn keys_of_one_class_and_rank_take_turns() {
        let mut line = Line::default();
        for n in 0..4 {
            line.push(&Turn::new(Bulk, "flood"), 2, ("flood", n));
        }
        assert_eq!(line.pop(), Some(("flood", 0)));
        for n in 0..2 {
            line.push(&Turn::new(Bulk, "other"), 2, ("other", n));
            line.push(&Turn::new(Bulk, "third"), 2, ("third", n));
        }
        line.push(&Turn::new(Bulk, "flood"), 3, ("later stage", 0));
        line.push(&Turn::new(Interactive, "flood"), 0, ("a person", 0));
        let expected = [
            ("a person", 0),
            ("later stage", 0),
            ("flood", 1),
            ("other", 0),
            ("third", 0),
            ("flood", 2),
            ("other", 1),
            ("third", 1),
            ("flood", 3),
        ];
        assert_eq!(drained(&mut line), expected);
    }

    /// Who comes back at once is served in turn with a backlog, neither after nor always before it.
    #[test]
    fn one_at_a_time_is_half() {
        let mut line = Line::default();
        for _ in 0..20 {
            line.push(&Turn::new(Bulk, "flood"), 0, "flood");
        }
        line.push(&Turn::new(Bulk, "single"), 0, "single");
        let mut served = Vec::new();
        for _ in 0..10 {
            let one = line.pop().unwrap();
            served.push(one);
            if one == "single" {
                line.push(&Turn::new(Bulk, "single"), 0, "single");
            }
        }
        assert_eq!(served, ["flood", "single"].repeat(5));
    }

    #[test]
    fn one_can_be_taken_out_of_the_middle() {
        let mut line = Line::default();
        let (a, b) = (Turn::new(Bulk, "a"), Turn::new(Bulk, "b"));
        let tickets = [line.push(&a, 0, 1), line.push(&a, 0, 2), line.push(&b, 0, 3), line.push(&a, 0, 4)];
        assert_eq!((line.remove(&tickets[1]), line.remove(&tickets[1])), (Some(2), None));
        assert_eq!((line.remove(&tickets[2]), line.remove(&tickets[2])), (Some(3), None));
        assert_eq!(drained(&mut line), [1, 4]);
        assert_eq!(line.remove(&tickets[0]), None);
        let last = line.push(&b, 0, 5);
        assert_eq!((line.remove(&last), line.is_empty()), (Some(5), true));
    }
}
