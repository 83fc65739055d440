//! Who a folder's images are of: somebody new, or somebody who is enrolled.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::Outcome;
use crate::{
    cli::door::Door,
    domain::{
        PersonId,
        people::{
            readable_id::{is_one_name, readable_id},
            words::{composed, decomposed},
        },
    },
    error::{Error, ErrorKind, Result},
};

/// Bytes of the name's hash in an id of [`hashed_ids`].
const HASHED_ID_BYTES: usize = 12;

/// Who the images are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: PersonId,
    pub(super) way: Way,
}

/// What is done with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They make a new person.
    Create,
    /// They take the place of the person's samples.
    Replace,
    /// They come beside the person's samples.
    Add,
}

impl Way {
    pub(super) const fn done(self) -> Outcome {
        match self {
            Self::Create => Outcome::Enrolled,
            Self::Replace | Self::Add => Outcome::Updated,
        }
    }
}

impl Target {
    /// Beside the samples of somebody who is enrolled.
    pub(super) const fn beside(id: PersonId) -> Self {
        Self { id, way: Way::Add }
    }

    /// The same. Errors: `NotFound` `person_not_found`.
    pub(super) async fn enrolled(door: &Door, id: &PersonId) -> Result<Self> {
        if door.person(id).await?.is_none() {
            return Err(Error::not_found(format!("nobody is enrolled as {id}")).with_code("person_not_found"));
        }
        Ok(Self::beside(id.clone()))
    }

    fn of(id: PersonId, is_enrolled: bool) -> Self {
        Self { id, way: if is_enrolled { Way::Replace } else { Way::Create } }
    }
}

/// Who folders of these names are of, in their order; no two of them are one.
pub(super) async fn targets(door: &Door, names: &[&str]) -> Result<Vec<Target>> {
    let mut taken: BTreeSet<PersonId> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let mut targets = Vec::with_capacity(names.len());
    for &name in names {
        let target = match name.parse::<PersonId>() {
            Ok(id) => {
                let is_enrolled = door.person(&id).await?.is_some();
                Target::of(id, is_enrolled)
            }
            Err(_) => by_name(door, name, &taken).await?,
        };
        taken.insert(target.id.clone());
        targets.push(target);
    }
    Ok(targets)
}

/// Somebody whose name is no id: whoever has an id that is made from the name, and the name. A second run finds the same
/// person, and another one of nearly the same name has the next number. Errors: `Conflict` `ambiguous_name`.
async fn by_name(door: &Door, name: &str, taken: &BTreeSet<PersonId>) -> Result<Target> {
    let mut earlier = Vec::new();
    for id in hashed_ids(name) {
        if door.person(&id).await?.is_some() {
            earlier.push(id);
        }
    }
    match earlier.as_slice() {
        [] => {}
        [id] => return Ok(Target::of(id.clone(), true)),
        [one, other, ..] => return Err(ambiguous_name(name, one, other)),
    }
    let mut number = 1;
    loop {
        let id = readable_id(name, number);
        if !taken.contains(&id) {
            match door.person(&id).await? {
                None => return Ok(Target::of(id, false)),
                Some(person) if is_one_name(&person.name, name) => return Ok(Target::of(id, true)),
                Some(_) => {}
            }
        }
        number += 1;
    }
}

/// The ids that earlier releases made of a name: of whichever form of Unicode the folder came in.
fn hashed_ids(name: &str) -> BTreeSet<PersonId> {
    let id = |form: &str| {
        let hash = hex::encode(&Sha256::digest(form.as_bytes())[..HASHED_ID_BYTES]);
        format!("name-{hash}").parse().ok()
    };
    [composed(name), decomposed(name)].iter().filter_map(|form| id(form)).collect()
}

/// The error for somebody whom two runs of earlier releases enrolled, under one form of the name each.
fn ambiguous_name(name: &str, one: &PersonId, other: &PersonId) -> Error {
    let message = format!("{name} is enrolled as {one} and as {other}: merge the two first");
    Error::new(ErrorKind::Conflict, message).with_code("ambiguous_name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_under_the_ids_of_both_its_forms() {
        assert_eq!(hashed_ids("Zoë 李").len(), 2);
        assert_eq!(hashed_ids("Zoë 李"), hashed_ids("Zoe\u{308} 李"));
        assert_eq!(hashed_ids("李").len(), 1);
        assert!(hashed_ids("Zoë").is_disjoint(&hashed_ids("Zoe")));
    }
}
