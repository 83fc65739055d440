//! Keys of people and of their faces.

use super::{
    Key, PersonDigest, WordDigest,
    letters::{DISOWNED, FACE, KEPT_PHOTO, NEGATIVE, PERSON, PHOTO_KEY, PLACE, SALT, WORD},
    parts::Part,
    tenants::data,
};
use crate::domain::{FaceId, Pseudonym, TenantId};

pub(in crate::store) fn salt(tenant: &TenantId) -> Key {
    data(tenant, SALT)
}

pub(in crate::store) fn place(tenant: &TenantId, person: &PersonDigest) -> Key {
    data(tenant, PLACE).fixed(person)
}

pub(in crate::store) fn person(tenant: &TenantId, person: Pseudonym) -> Key {
    people(tenant).fixed(person.as_bytes())
}

pub(in crate::store) fn people(tenant: &TenantId) -> Key {
    data(tenant, PERSON)
}

pub(in crate::store) fn word(tenant: &TenantId, word: WordDigest, person: Pseudonym) -> Key {
    words_like(tenant, word).fixed(person.as_bytes())
}

/// Everybody who has a word that begins so.
pub(in crate::store) fn words_like(tenant: &TenantId, word: WordDigest) -> Key {
    words(tenant).fixed(&word)
}

pub(in crate::store) fn words(tenant: &TenantId) -> Key {
    data(tenant, WORD)
}

pub(in crate::store) fn face(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    faces_of(tenant, person).fixed(face.as_bytes())
}

pub(in crate::store) fn faces_of(tenant: &TenantId, person: Pseudonym) -> Key {
    faces(tenant).fixed(person.as_bytes())
}

pub(in crate::store) fn faces(tenant: &TenantId) -> Key {
    data(tenant, FACE)
}

pub(in crate::store) fn kept_photo(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    kept_photos_of(tenant, person).fixed(face.as_bytes())
}

pub(in crate::store) fn kept_photos_of(tenant: &TenantId, person: Pseudonym) -> Key {
    kept_photos(tenant).fixed(person.as_bytes())
}

pub(in crate::store) fn kept_photos(tenant: &TenantId) -> Key {
    data(tenant, KEPT_PHOTO)
}

pub(in crate::store) fn photo_key(tenant: &TenantId, person: Pseudonym) -> Key {
    data(tenant, PHOTO_KEY).fixed(person.as_bytes())
}

pub(in crate::store) fn negative(tenant: &TenantId, person: Pseudonym, face: FaceId) -> Key {
    negatives_of(tenant, person).fixed(face.as_bytes())
}

pub(in crate::store) fn negatives_of(tenant: &TenantId, person: Pseudonym) -> Key {
    negatives(tenant).fixed(person.as_bytes())
}

pub(in crate::store) fn negatives(tenant: &TenantId) -> Key {
    data(tenant, NEGATIVE)
}

pub(in crate::store) fn disowned(tenant: &TenantId, other: Pseudonym, person: Pseudonym, face: FaceId) -> Key {
    disowned_of(tenant, other).fixed(person.as_bytes()).fixed(face.as_bytes())
}

/// The negatives that were made of this one's samples.
pub(in crate::store) fn disowned_of(tenant: &TenantId, other: Pseudonym) -> Key {
    data(tenant, DISOWNED).fixed(other.as_bytes())
}
