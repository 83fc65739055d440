//! The only place where keys are made.
//!
//! Identifiers never hold a zero byte (see [`crate::domain::ids`]), so each is ended by one: no identifier's key
//! is a prefix of another's, and keys sort as the identifiers' bytes do, which is the order of cursors. A tenant's
//! records all lie under the tenant's own prefix, so one tenant's ids cannot reach another's records.
//!
//! | key | value |
//! |---|---|
//! | `format` | version of the store |
//! | `key` hash | API key |
//! | `tenant` tenant | tenant |
//! | `data` tenant `group` group | group |
//! | `data` tenant `person` person | person |
//! | `data` tenant `face` person face | face sample |
//! | `data` tenant `member` group person | the person's id: the roster |
//! | `data` tenant `membership` person group | the group's id: the same, the other way round |
//! | `data` tenant `attendance` group date person | attendance record; the key is what makes a mark unique |
//! | `data` tenant `mark` group record | where the attendance record is, by its id |
//! | `data` tenant `sighting` person group date | where the attendance record is, by person |

use jiff::civil::Date;

use crate::domain::{FaceId, GroupId, PersonId, RecordId, TenantId};

/// A key, or the prefix of several.
pub(super) type Key = Vec<u8>;

const FORMAT: u8 = b'!';
const API_KEY: u8 = b'k';
const TENANT: u8 = b't';
const DATA: u8 = b'd';

const ATTENDANCE: u8 = b'a';
const FACE: u8 = b'f';
const GROUP: u8 = b'g';
const MARK: u8 = b'i';
const MEMBER: u8 = b'm';
const MEMBERSHIP: u8 = b'n';
const PERSON: u8 = b'p';
const SIGHTING: u8 = b's';

trait Part {
    fn text(self, text: &str) -> Self;
    fn fixed(self, bytes: &[u8]) -> Self;
}

impl Part for Key {
    /// A part of any length, ended by a zero byte.
    fn text(mut self, text: &str) -> Self {
        self.extend_from_slice(text.as_bytes());
        self.push(0);
        self
    }

    /// A part whose length its kind of key fixes.
    fn fixed(mut self, bytes: &[u8]) -> Self {
        self.extend_from_slice(bytes);
        self
    }
}

/// Year, month and day such that bytes sort as dates do.
fn date_bytes(date: Date) -> [u8; 4] {
    // A date's years are -9999..=9999; flipping the sign bit makes unsigned order theirs.
    let [y0, y1] = (date.year() as u16 ^ 0x8000).to_be_bytes();
    [y0, y1, date.month() as u8, date.day() as u8]
}

fn data(tenant: &TenantId, kind: u8) -> Key {
    vec![DATA].text(tenant.as_str()).fixed(&[kind])
}

pub(super) fn format() -> Key {
    vec![FORMAT]
}

pub(super) fn api_key(hash: &[u8; 32]) -> Key {
    api_keys().fixed(hash)
}

pub(super) fn api_keys() -> Key {
    vec![API_KEY]
}

pub(super) fn tenant(tenant: &TenantId) -> Key {
    tenants().text(tenant.as_str())
}

pub(super) fn tenants() -> Key {
    vec![TENANT]
}

pub(super) fn group(tenant: &TenantId, group: &GroupId) -> Key {
    groups(tenant).text(group.as_str())
}

pub(super) fn groups(tenant: &TenantId) -> Key {
    data(tenant, GROUP)
}

pub(super) fn person(tenant: &TenantId, person: &PersonId) -> Key {
    people(tenant).text(person.as_str())
}

pub(super) fn people(tenant: &TenantId) -> Key {
    data(tenant, PERSON)
}

pub(super) fn face(tenant: &TenantId, person: &PersonId, face: FaceId) -> Key {
    faces_of(tenant, person).fixed(face.as_bytes())
}

pub(super) fn faces_of(tenant: &TenantId, person: &PersonId) -> Key {
    faces(tenant).text(person.as_str())
}

pub(super) fn faces(tenant: &TenantId) -> Key {
    data(tenant, FACE)
}

pub(super) fn member(tenant: &TenantId, group: &GroupId, person: &PersonId) -> Key {
    members(tenant, group).text(person.as_str())
}

pub(super) fn members(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, MEMBER).text(group.as_str())
}

pub(super) fn membership(tenant: &TenantId, person: &PersonId, group: &GroupId) -> Key {
    memberships(tenant, person).text(group.as_str())
}

pub(super) fn memberships(tenant: &TenantId, person: &PersonId) -> Key {
    data(tenant, MEMBERSHIP).text(person.as_str())
}

pub(super) fn attendance(tenant: &TenantId, group: &GroupId, date: Date, person: &PersonId) -> Key {
    attendance_on(tenant, group, date).text(person.as_str())
}

pub(super) fn attendance_on(tenant: &TenantId, group: &GroupId, date: Date) -> Key {
    attendance_of(tenant, group).fixed(&date_bytes(date))
}

pub(super) fn attendance_of(tenant: &TenantId, group: &GroupId) -> Key {
    data(tenant, ATTENDANCE).text(group.as_str())
}

pub(super) fn mark(tenant: &TenantId, group: &GroupId, record: RecordId) -> Key {
    data(tenant, MARK).text(group.as_str()).fixed(record.as_bytes())
}

pub(super) fn sighting(tenant: &TenantId, person: &PersonId, group: &GroupId, date: Date) -> Key {
    sightings(tenant, person).text(group.as_str()).fixed(&date_bytes(date))
}

pub(super) fn sightings(tenant: &TenantId, person: &PersonId) -> Key {
    data(tenant, SIGHTING).text(person.as_str())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "[A-Za-z0-9._@:/+-]([A-Za-z0-9._@:/+ -]{0,6}[A-Za-z0-9._@:/+-])?";

    fn id_text() -> impl Strategy<Value = String> {
        ID.prop_filter("an id", |text| ![".", ".."].contains(&text.as_str()))
    }

    fn id<T: std::str::FromStr<Err = crate::Error>>(text: &str) -> T {
        text.parse().unwrap()
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let tenant = id("t");
        let one = membership(&tenant, &id("a"), &id("b/c"));
        let two = membership(&tenant, &id("a/b"), &id("c"));
        assert_ne!(one, two);
        assert!(!membership(&tenant, &id("ab"), &id("c")).starts_with(&memberships(&tenant, &id("a"))));
        assert!(!people(&id("ab")).starts_with(&data(&id("a"), PERSON)));
    }

    #[test]
    fn dates_sort_in_time() {
        let dates = [
            date(-9999, 1, 1),
            date(-1, 12, 31),
            date(0, 1, 1),
            date(1999, 12, 31),
            date(2026, 2, 1),
            date(9999, 12, 31),
        ];
        assert!(dates.windows(2).all(|pair| date_bytes(pair[0]) < date_bytes(pair[1])));
    }

    proptest! {
        #[test]
        fn keys_are_unique_and_sort_as_ids(a in (id_text(), id_text(), id_text()), b in (id_text(), id_text(), id_text())) {
            let key = |(tenant, person, group): &(String, String, String)| {
                membership(&id(tenant), &id(person), &id(group))
            };
            prop_assert_eq!(key(&a) == key(&b), a == b);
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }
    }
}
