//! People, what leads to them, and their faces.

use super::{
    found::{Finding, Found, has_all, misplaced, missing},
    server,
};
use crate::{
    domain::{ErasureId, FaceId, FaceSample, KeptPhoto, Negative, Person, PhotoKey, Pseudonym, Realm},
    store::{
        keys::{self, PersonDigest, WordDigest},
        people::{
            pseudonyms::{Salt, pseudonym},
            search,
        },
    },
};

pub(in crate::store) fn place(of: &Found<'_>, digest: &PersonDigest) -> Finding {
    let salt: Option<Salt> = of.get(&keys::salt(of.tenant));
    of.read(|who: &Pseudonym| {
        let named: Option<Person> = of.get(&keys::person(of.tenant, *who));
        let wrong = named.as_ref().zip(salt).is_some_and(|(named, salt)| salt.of_person(&named.id) != *digest);
        Ok(misplaced(wrong).or_else(|| missing(named.is_none(), "no_person")))
    })
}

pub(in crate::store) fn person(of: &Found<'_>, who: Pseudonym) -> Finding {
    let salt: Option<Salt> = of.get(&keys::salt(of.tenant));
    of.read(|person: &Person| {
        let Some(salt) = salt else { return Ok(Some("no_salt")) };
        let found = has_all(of.view, search::words_keys(of.tenant, salt, who, person))?;
        let placed = of.is_of(who, &person.id);
        Ok(missing(!placed, "no_place").or_else(|| missing(!found, "no_word")))
    })
}

pub(in crate::store) fn word(of: &Found<'_>, _word: WordDigest, who: Pseudonym) -> Finding {
    let salt: Option<Salt> = of.get(&keys::salt(of.tenant));
    of.read(|holder: &Pseudonym| {
        let named: Option<Person> = of.get(&keys::person(of.tenant, who));
        let wrong = named
            .as_ref()
            .zip(salt)
            .is_some_and(|(named, salt)| !search::words_keys(of.tenant, salt, who, named).contains(of.key));
        Ok(misplaced(*holder != who || wrong).or_else(|| missing(named.is_none(), "no_person")))
    })
}

pub(in crate::store) fn face(of: &Found<'_>, person: Pseudonym, id: FaceId) -> Finding {
    if !of.has_person(person)? {
        return Ok(Some("no_person"));
    }
    of.read(|sample: &FaceSample| {
        let wrong = sample.id != id || !of.is_of(person, &sample.person);
        Ok(misplaced(wrong).or_else(|| (of.unfit)(sample)))
    })
}

/// Of somebody who was erased.
pub(in crate::store) fn erasure(of: &Found<'_>, id: ErasureId) -> Finding {
    server::erasure_in(of, &Realm::Tenant(of.tenant.clone()), id)
}

/// What is known of a kept photo; its file is not the store's.
pub(in crate::store) fn kept_photo(of: &Found<'_>, person: Pseudonym, face: FaceId) -> Finding {
    of.read(|photo: &KeptPhoto| {
        let wrong = photo.face != face || !of.is_of(person, &photo.person);
        let known = of.has(&keys::face(of.tenant, person, face))?;
        let has_key = of.has(&keys::photo_key(of.tenant, person))?;
        Ok(misplaced(wrong).or_else(|| missing(!known, "no_face")).or_else(|| missing(!has_key, "no_photo_key")))
    })
}

pub(in crate::store) fn photo_key(of: &Found<'_>, person: Pseudonym) -> Finding {
    of.read(|key: &PhotoKey| {
        let known = of.has_person(person)?;
        let wrong = known && !of.is_of(person, &key.person);
        Ok(misplaced(wrong).or_else(|| missing(!known, "no_person")))
    })
}

pub(in crate::store) fn negative(of: &Found<'_>, person: Pseudonym, id: FaceId) -> Finding {
    let known = of.has_person(person)?;
    of.read(|negative: &Negative| {
        let indexed = match &negative.of {
            Some(other) => match pseudonym(of.view, of.tenant, other) {
                Ok(Some(other)) => of.has(&keys::disowned(of.tenant, other, person, id))?,
                Ok(None) => false,
                // Noted where it is.
                Err(_) => true,
            },
            None => true,
        };
        let wrong = known && (negative.id != id || !of.is_of(person, &negative.person));
        Ok(missing(!known, "no_person").or_else(|| misplaced(wrong)).or_else(|| missing(!indexed, "no_negative_index")))
    })
}

pub(in crate::store) fn disowned(of: &Found<'_>, other: Pseudonym, person: Pseudonym, face: FaceId) -> Finding {
    let both = of.has_person(other)? && of.has_person(person)?;
    of.read(|holder: &Pseudonym| {
        let negative: Option<Negative> = of.get(&keys::negative(of.tenant, person, face));
        let resolved = match negative.and_then(|negative| negative.of) {
            Some(made_of) => of.is_of(other, &made_of),
            None => false,
        };
        Ok(misplaced(*holder != person)
            .or_else(|| missing(!both, "no_person"))
            .or_else(|| missing(!resolved, "no_negative")))
    })
}
