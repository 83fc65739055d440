//! The order in which waiting tasks start.

use std::{cmp::Reverse, collections::BTreeMap};

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

/// A task's place in the queue: class first, then the later stage, so that work drains before more is admitted,
/// then first come first served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    class: ServiceClass,
    stage_rank: Reverse<u8>,
    sequence: u64,
}

/// Waiting tasks by ticket. Taking one out of the middle is as cheap as taking the first.
#[derive(Debug)]
pub(super) struct Queue<J> {
    jobs: BTreeMap<Ticket, J>,
    next_sequence: u64,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self { jobs: BTreeMap::new(), next_sequence: 0 }
    }
}

impl<J> Queue<J> {
    pub(super) fn push(&mut self, class: ServiceClass, stage_rank: u8, job: J) -> Ticket {
        let ticket = Ticket { class, stage_rank: Reverse(stage_rank), sequence: self.next_sequence };
        self.next_sequence += 1;
        self.jobs.insert(ticket, job);
        ticket
    }

    /// The next task, of the interactive class alone if so asked.
    pub(super) fn pop(&mut self, interactive_only: bool) -> Option<J> {
        let first = self.jobs.first_entry()?;
        if interactive_only && first.key().class != ServiceClass::Interactive {
            return None;
        }
        Some(first.remove())
    }

    /// Takes out a task that still waits.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<J> {
        self.jobs.remove(&ticket)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{ServiceClass::*, *};

    #[test]
    fn class_then_later_stage_then_first_come() {
        let mut queue = Queue::default();
        for (class, rank, name) in [
            (Bulk, 9, "bulk late"),
            (Interactive, 0, "interactive early, first"),
            (Interactive, 0, "interactive early, second"),
            (Stream, 3, "stream"),
            (Bulk, 1, "bulk early"),
            (Interactive, 4, "interactive late"),
        ] {
            queue.push(class, rank, name);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(false)).collect();
        assert_eq!(
            order,
            [
                "interactive late",
                "interactive early, first",
                "interactive early, second",
                "stream",
                "bulk late",
                "bulk early"
            ]
        );
    }

    #[test]
    fn interactive_only_leaves_the_rest_where_it_is() {
        let mut queue = Queue::default();
        let bulk = queue.push(Bulk, 0, 1);
        queue.push(Stream, 0, 2);
        assert_eq!(queue.pop(true), None);
        queue.push(Interactive, 0, 3);
        assert_eq!(queue.pop(true), Some(3));
        assert_eq!((queue.remove(bulk), queue.remove(bulk)), (Some(1), None));
        assert_eq!(queue.pop(false), Some(2));
        assert!(queue.is_empty());
    }
}
