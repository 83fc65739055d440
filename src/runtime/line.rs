//! The order in which those who wait are served: by class of service, then one of each key in turn, then by rank, then
//! first come first served. It is the turn of the key whose last one is longest ago, so another key's one waits for no
//! more than one of each: a key is whoever must not crowd out the others, and may wait with as many as it likes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
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
    /// Which of the key's it is, where they share something among themselves; empty where they do not.
    pub holder: Arc<str>,
}

impl Turn {
    /// The turn of those of `class` who belong to `key`.
    pub fn new(class: ServiceClass, key: &str) -> Self {
        Self { class, key: key.into(), holder: "".into() }
    }

    /// The same, of one of the key's.
    #[must_use]
    pub fn of(self, holder: &str) -> Self {
        Self { holder: holder.into(), ..self }
    }
}

/// A place in the line.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    turn: Turn,
    rank: Rank,
}

/// Among those of one key: the higher number first, then who came first.
type Rank = (Reverse<u8>, u64);

/// See the module. Taking one out of the middle is about as cheap as taking the first.
#[derive(Debug)]
pub(super) struct Line<T> {
    rings: BTreeMap<ServiceClass, Ring<T>>,
    /// Counts who came and who was served.
    events: u64,
}

/// The keys of one class.
#[derive(Debug)]
struct Ring<T> {
    /// The next one first; of that one somebody waits. Keys of which nobody does are kept as long as one that waits had
    /// its last turn before them.
    order: BTreeMap<LastTurn, Arc<str>>,
    keys: HashMap<Arc<str>, OfKey<T>>,
}

/// When a key had its last turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LastTurn {
    /// Never, as far as is known; it came then.
    None(u64),
    /// Then.
    At(u64),
}

#[derive(Debug)]
struct OfKey<T> {
    last_turn: LastTurn,
    waiting: BTreeMap<Rank, T>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { rings: BTreeMap::new(), events: 0 }
    }
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { order: BTreeMap::new(), keys: HashMap::new() }
    }
}

impl<T> Line<T> {
    pub(super) fn push(&mut self, turn: &Turn, rank: u8, one: T) -> Ticket {
        self.events += 1;
        let ticket = Ticket { turn: turn.clone(), rank: (Reverse(rank), self.events) };
        self.rings.entry(turn.class).or_default().of_key(&turn.key, self.events).waiting.insert(ticket.rank, one);
        ticket
    }

    /// Takes out the next one that `may` be served. Of each key only the first is asked about.
    pub(super) fn pop_if(&mut self, may: impl FnMut(&T) -> bool) -> Option<T> {
        self.pop_among(1, may)
    }

    /// Likewise, where those of a key may pass by one another.
    pub(super) fn pop_any_if(&mut self, may: impl FnMut(&T) -> bool) -> Option<T> {
        self.pop_among(usize::MAX, may)
    }

    /// Likewise, among the first `asked` of each key.
    fn pop_among(&mut self, asked: usize, mut may: impl FnMut(&T) -> bool) -> Option<T> {
        self.events += 1;
        let now = LastTurn::At(self.events);
        let mut rings = self.rings.iter_mut();
        let (class, one) = rings.find_map(|(&class, ring)| Some((class, ring.pop_among(asked, now, &mut may)?)))?;
        self.remove_if_empty(class);
        Some(one)
    }

    /// Takes out one that still waits.
    pub(super) fn remove(&mut self, Ticket { turn, rank }: &Ticket) -> Option<T> {
        let one = self.rings.get_mut(&turn.class)?.remove(&turn.key, rank)?;
        self.remove_if_empty(turn.class);
        Some(one)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// How many of a key wait.
    pub(super) fn num_of(&self, turn: &Turn) -> usize {
        self.of_key(turn).map_or(0, |of_key| of_key.waiting.len())
    }

    /// Those of a key, in their order.
    pub(super) fn all_of(&self, turn: &Turn) -> impl Iterator<Item = &T> {
        self.of_key(turn).into_iter().flat_map(|of_key| of_key.waiting.values())
    }

    fn of_key(&self, turn: &Turn) -> Option<&OfKey<T>> {
        self.rings.get(&turn.class)?.keys.get(&turn.key)
    }

    fn remove_if_empty(&mut self, class: ServiceClass) {
        if self.rings.get(&class).is_some_and(|ring| ring.order.is_empty()) {
            self.rings.remove(&class);
        }
    }
}

impl<T> Ring<T> {
    /// A key that comes now unless it is here.
    fn of_key(&mut self, key: &Arc<str>, now: u64) -> &mut OfKey<T> {
        self.keys.entry(Arc::clone(key)).or_insert_with(|| {
            let last_turn = LastTurn::None(now);
            self.order.insert(last_turn, Arc::clone(key));
            OfKey { last_turn, waiting: BTreeMap::new() }
        })
    }

    fn pop_among(&mut self, asked: usize, now: LastTurn, may: &mut impl FnMut(&T) -> bool) -> Option<T> {
        let next_of = |key: &Arc<str>| {
            let mut first = self.keys.get(key)?.waiting.iter().take(asked);
            first.find(|(_, one)| may(one)).map(|(rank, _)| (Arc::clone(key), *rank))
        };
        let (key, rank) = self.order.values().find_map(next_of)?;
        let of_key = self.keys.get_mut(&key)?;
        let one = of_key.waiting.remove(&rank)?;
        self.order.remove(&of_key.last_turn);
        of_key.last_turn = now;
        self.order.insert(now, key);
        self.forget_the_idle();
        Some(one)
    }

    fn remove(&mut self, key: &Arc<str>, rank: &Rank) -> Option<T> {
        let one = self.keys.get_mut(key)?.waiting.remove(rank)?;
        self.forget_the_idle();
        Some(one)
    }

    /// Forgets keys of which nobody waits and whose turn it would be: as it is where they come anew.
    fn forget_the_idle(&mut self) {
        while let Some(next) = self.order.first_entry() {
            if self.keys.get(next.get()).is_some_and(|of_key| !of_key.waiting.is_empty()) {
                return;
            }
            self.keys.remove(&next.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ServiceClass::*, *};

    fn pop<T>(line: &mut Line<T>) -> Option<T> {
        line.pop_if(|_| true)
    }

    fn drained<T>(line: &mut Line<T>) -> Vec<T> {
        std::iter::from_fn(|| pop(line)).collect()
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
        assert!(line.is_empty());
    }

    #[test]
    fn keys_of_one_class_take_turns_whatever_the_ranks() {
        let mut line = Line::default();
        for n in 0..4 {
            line.push(&Turn::new(Bulk, "flood"), 2, ("flood", n));
        }
        assert_eq!(pop(&mut line), Some(("flood", 0)));
        for n in 0..2 {
            line.push(&Turn::new(Bulk, "other"), 0, ("other", n));
            line.push(&Turn::new(Bulk, "third"), 2, ("third", n));
        }
        line.push(&Turn::new(Bulk, "flood"), 3, ("later stage", 0));
        line.push(&Turn::new(Interactive, "flood"), 0, ("a person", 0));
        let expected = [
            ("a person", 0),
            ("other", 0),
            ("third", 0),
            ("later stage", 0),
            ("other", 1),
            ("third", 1),
            ("flood", 1),
            ("flood", 2),
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
            let one = pop(&mut line).unwrap();
            served.push(one);
            if one == "single" {
                line.push(&Turn::new(Bulk, "single"), 0, "single");
            }
        }
        assert_eq!(served, ["flood", "single"].repeat(5));
    }

    #[test]
    fn who_may_not_be_served_is_passed_by_and_keeps_its_turn() {
        let mut line = Line::default();
        for key in ["a", "a", "b", "c"] {
            line.push(&Turn::new(Bulk, key), 0, key);
        }
        assert_eq!(line.pop_if(|key| *key != "a"), Some("b"));
        assert_eq!(line.pop_if(|_| false), None);
        assert_eq!(drained(&mut line), ["a", "c", "a"]);
    }

    #[test]
    fn those_of_a_key_may_pass_by_one_another() {
        let mut line = Line::default();
        for (key, n) in [("a", 0), ("a", 1), ("b", 2), ("a", 3)] {
            line.push(&Turn::new(Bulk, key), 0, n);
        }
        assert_eq!(line.pop_any_if(|n| *n == 1), Some(1), "of the key whose turn it is");
        assert_eq!(line.pop_any_if(|n| *n > 1), Some(2), "then it is another's");
        assert_eq!(line.pop_any_if(|_| false), None);
        assert_eq!(drained(&mut line), [0, 3]);
    }

    #[test]
    fn one_can_be_taken_out_of_the_middle() {
        let mut line = Line::default();
        let (a, b) = (Turn::new(Bulk, "a"), Turn::new(Bulk, "b"));
        let tickets = [line.push(&a, 0, 1), line.push(&a, 0, 2), line.push(&b, 0, 3), line.push(&a, 0, 4)];
        assert_eq!(line.num_of(&a), 3);
        assert_eq!((line.remove(&tickets[1]), line.remove(&tickets[1])), (Some(2), None));
        assert_eq!((line.remove(&tickets[2]), line.remove(&tickets[2])), (Some(3), None));
        assert_eq!(drained(&mut line), [1, 4]);
        assert_eq!(line.remove(&tickets[0]), None);
        let last = line.push(&b, 0, 5);
        assert_eq!((line.remove(&last), line.is_empty()), (Some(5), true));
    }

    const KEYS: usize = 5;

    #[derive(Debug, Clone)]
    enum Step {
        Push {
            key: usize,
            rank: u8,
        },
        Pop,
        /// Takes back the one that came last of those who wait.
        Remove,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..KEYS, 0..4_u8).prop_map(|(key, rank)| Step::Push { key, rank }),
            2 => Just(Step::Pop),
            1 => Just(Step::Remove),
        ]
    }

    proptest! {
        /// Whatever the others queue, a key's next waits for at most one of each of them, and is its latest stage's.
        #[test]
        fn a_keys_next_waits_for_at_most_one_of_each_other(steps in prop::collection::vec(step(), 0..300)) {
            let keys = ["a", "b", "c", "d", "e"].map(|key| Turn::new(Interactive, key));
            let mut line = Line::default();
            let mut waiting: Vec<(usize, u8, Ticket)> = Vec::new();
            // How many of each other key were served since a key's next waits.
            let mut passed = [[0; KEYS]; KEYS];
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push { key, rank } => {
                        if line.num_of(&keys[key]) == 0 {
                            passed[key] = [0; KEYS];
                        }
                        waiting.push((key, rank, line.push(&keys[key], rank, (key, rank, number))));
                    }
                    Step::Pop => {
                        let Some((key, rank, _)) = pop(&mut line) else { continue };
                        let of_key = |&(of, ..): &(usize, u8, Ticket)| of == key;
                        prop_assert_eq!(waiting.iter().filter(|one| of_key(one)).map(|one| one.1).max(), Some(rank));
                        let served = waiting.iter().position(|one| of_key(one) && one.1 == rank).unwrap();
                        waiting.remove(served);
                        passed[key] = [0; KEYS];
                        for other in (0..KEYS).filter(|&other| other != key && line.num_of(&keys[other]) > 0) {
                            passed[other][key] += 1;
                            prop_assert!(passed[other][key] <= 1, "{} passed {} twice", key, other);
                        }
                    }
                    Step::Remove => {
                        let Some((_, _, ticket)) = waiting.pop() else { continue };
                        prop_assert!(line.remove(&ticket).is_some());
                    }
                }
                prop_assert_eq!(waiting.is_empty(), line.is_empty());
            }
        }
    }
}
