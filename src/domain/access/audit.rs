//! The log of changes: who did what, when, in a chain of hashes that shows where it was tampered with.
//!
//! An entry's hash covers everything in the entry and the hash of the one before it. Whoever changes, removes or swaps
//! an entry would have to make all later ones anew, and the [`Head`], which is kept apart from them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use error::{Error, Result};

/// SHA-256.
pub type Hash = [u8; 32];

/// What is to be written of a change. Holds nothing personal in clear: that goes through [`Salt::digest`] first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When it was done.
    pub at: Timestamp,
    /// Whose act it is: `user:ID`, `key:ID`, `machine` or `nobody`.
    pub actor: String,
    /// The request that it came with; none for the machine's.
    pub request_id: Option<String>,
    /// The kind of thing and what was done to it, `person.create`.
    pub action: String,
    /// What it was done to: ids, those of people as digests.
    pub subjects: Vec<String>,
    /// What the change replaced, as JSON.
    pub before: Option<String>,
    /// What is there since, as JSON.
    pub after: Option<String>,
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the chain, from 1, without gaps.
    pub number: u64,
    /// What was done.
    pub act: Act,
    /// The hash of the entry before it; zeros for the first.
    pub previous: Hash,
    /// Over all of the above.
    pub hash: Hash,
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last entry, which is how many there are; 0 for an empty chain.
    pub number: u64,
    /// The hash of the last entry; zeros for an empty chain.
    pub hash: Hash,
}

impl Head {
    /// Makes the chain longer by an entry of `act`.
    pub fn append(&mut self, act: Act) -> Entry {
        let (number, previous) = (self.number + 1, self.hash);
        let hash = hash_of(number, &act, &previous);
        *self = Self { number, hash };
        Entry { number, act, previous, hash }
    }

    /// Goes on to `entry`, read from a log, if it is what follows here.
    ///
    /// Errors: `Storage` `audit_broken`, naming the number that was expected.
    pub fn follow(&mut self, entry: &Entry) -> Result<()> {
        let expected = self.number + 1;
        let fits = entry.number == expected
            && entry.previous == self.hash
            && entry.hash == hash_of(entry.number, &entry.act, &entry.previous);
        if !fits {
            return Err(broken(expected));
        }
        *self = Self { number: entry.number, hash: entry.hash };
        Ok(())
    }

    /// Errors: as for [`Self::follow`], unless the entries that were followed end where the log says, at `kept`.
    pub fn ends_at(&self, kept: &Self) -> Result<()> {
        if self == kept { Ok(()) } else { Err(broken(self.number.min(kept.number) + 1)) }
    }
}

fn broken(number: u64) -> Error {
    Error::storage(format!("the audit log is broken at entry {number}")).with_code("audit_broken")
}

/// Every part has its length before it, and every part that may be missing says whether it is there: no two different
/// entries are the same bytes.
fn hash_of(number: u64, act: &Act, previous: &Hash) -> Hash {
    let Act { at, actor, request_id, action, subjects, before, after } = act;
    let mut hasher = Sha256::new();
    hasher.update(number.to_be_bytes());
    hasher.update(at.as_nanosecond().to_be_bytes());
    text(&mut hasher, actor);
    optional(&mut hasher, request_id.as_deref());
    text(&mut hasher, action);
    hasher.update((subjects.len() as u64).to_be_bytes());
    for subject in subjects {
        text(&mut hasher, subject);
    }
    optional(&mut hasher, before.as_deref());
    optional(&mut hasher, after.as_deref());
    hasher.update(previous);
    hasher.finalize().into()
}

fn text(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text);
}

fn optional(hasher: &mut Sha256, value: Option<&str>) {
    hasher.update([u8::from(value.is_some())]);
    if let Some(value) = value {
        text(hasher, value);
    }
}

/// A tenant's secret that stands before what is digested: without it a digest tells nothing of a value, however few
/// values there are to try.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub [u8; 32]);

impl Salt {
    /// What a log holds in the place of a personal `value`: `sha256:` and 64 hexadecimal digits. `field` says what
    /// the value is, so that the same text in two fields gives two digests.
    pub fn digest(&self, field: &str, value: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        text(&mut hasher, field);
        text(&mut hasher, value);
        format!("sha256:{}", hex::encode(hasher.finalize()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(action: &str) -> Act {
        Act {
            at: "2026-03-29T10:30:00Z".parse().unwrap(),
            actor: "user:ada".into(),
            request_id: Some("r".into()),
            action: action.into(),
            subjects: vec!["g".into(), "h".into()],
            before: None,
            after: Some("{}".into()),
        }
    }

    fn chain() -> (Vec<Entry>, Head) {
        let mut head = Head::default();
        let actions = ["group.create", "group.update", "group.delete"];
        (actions.map(|action| head.append(act(action))).to_vec(), head)
    }

    /// The message of the error, if the entries do not fit each other and the head.
    fn fault(entries: &[Entry], kept: &Head) -> Option<String> {
        let mut head = Head::default();
        let followed = entries.iter().try_for_each(|entry| head.follow(entry)).and_then(|()| head.ends_at(kept));
        followed.err().map(|error| {
            assert_eq!(error.code(), "audit_broken");
            error.to_string()
        })
    }

    #[test]
    fn an_entry_that_was_changed_is_named_whatever_was_changed_in_it() {
        let (entries, head) = chain();
        assert_eq!(fault(&entries, &head), None);
        let changes: [fn(&mut Entry); 13] = [
            |entry| entry.number = 3,
            |entry| entry.act.at += jiff::SignedDuration::from_nanos(1),
            |entry| entry.act.actor = "machine".into(),
            |entry| entry.act.request_id = None,
            |entry| entry.act.request_id = Some(String::new()),
            |entry| entry.act.action = "group.create".into(),
            |entry| entry.act.subjects = vec!["gh".into()],
            |entry| entry.act.subjects = vec!["h".into(), "g".into()],
            |entry| (entry.act.before, entry.act.after) = (entry.act.after.take(), None),
            |entry| entry.act.before = Some("{}".into()),
            |entry| entry.act.after = Some("{ }".into()),
            |entry| entry.previous[0] ^= 1,
            |entry| entry.hash[31] ^= 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = entries.clone();
            change(&mut changed[1]);
            let message = fault(&changed, &head).unwrap_or_else(|| panic!("change {index} was not found"));
            assert!(message.contains("entry 2"), "change {index}: {message}");
        }
    }

    #[test]
    fn an_entry_that_is_gone_swapped_or_made_anew_is_named() {
        let (entries, head) = chain();
        let [first, second, third] = [0, 1, 2].map(|index| entries[index].clone());
        let mut other = Head { number: 1, hash: first.hash };
        let forged = other.append(act("group.create"));
        for (log, number) in [
            (vec![], 1),
            (vec![second.clone(), third.clone()], 1),
            (vec![first.clone(), third.clone()], 2),
            (vec![first.clone(), third.clone(), second.clone()], 2),
            // The end is cut off: only the head knows.
            (vec![first.clone(), second.clone()], 3),
            (vec![first.clone(), second.clone(), second], 3),
            // Its own hash is right: what follows it shows that it is another.
            (vec![first, forged, third], 3),
        ] {
            let message = fault(&log, &head).unwrap();
            assert!(message.contains(&format!("entry {number}")), "{message}");
        }
    }

    #[test]
    fn a_digest_shows_a_value_to_who_knows_it_and_the_salt_alone() {
        let (salt, other) = (Salt([1; 32]), Salt([2; 32]));
        let digest = salt.digest("name", "Ada");
        assert_eq!(digest, salt.digest("name", "Ada"));
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
        for different in [other.digest("name", "Ada"), salt.digest("name", "Bob"), salt.digest("email", "Ada")] {
            assert_ne!(digest, different);
        }
        assert_ne!(salt.digest("ab", "c"), salt.digest("a", "bc"));
    }
}
