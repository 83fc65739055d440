//! The only place where keys are made.
//!
//! Identifiers never hold a zero byte (see [`crate::domain::ids`]), so each is ended by one: no identifier's key
//! is a prefix of another's, and keys sort as the identifiers' bytes do, which is the order of cursors. A tenant's
//! records all lie under the tenant's own prefix, so one tenant's ids cannot reach another's records.
//!
//! Keys say nothing of people: `person` and `other` are pseudonyms, and what finds a pseudonym are salted digests.
//!
//! | key | value |
//! |---|---|
//! | `format` | version of the store |
//! | `key` hash | API key |
//! | `access` realm `key` id | the hash under which the API key is; a realm is a tenant, or empty: the server |
//! | `access` realm `user` user | user |
//! | `access` realm `entry` number | entry of the audit log |
//! | `access` realm `head` | where the audit log ends |
//! | `access` realm `salt` | what is digested for the audit log |
//! | `session` id | somebody's login |
//! | `answer` id | what a request of the operator was answered |
//! | `backup` id | a copy of the store that was given away |
//! | `erasure` id | a tenant that was erased |
//! | `pending` realm id | that the bytes of an erasure may still be on the disk |
//! | `tenant` tenant | tenant |
//! | `data` tenant `settings` | what the operator has set for the tenant |
//! | `data` tenant `usage` | how much the tenant has |
//! | `data` tenant `photos` | how many photos it has sent on its last day |
//! | `data` tenant `group` group | group |
//! | `data` tenant `salt` | what makes the digests of this tenant differ from another's |
//! | `data` tenant `place` digest | the pseudonym of the person of this id |
//! | `data` tenant `person` person | person |
//! | `data` tenant `word` digest person | the same person: a word of their name or id begins so |
//! | `data` tenant `face` person face | face sample |
//! | `data` tenant `kept_photo` person face | where the photo behind the sample lies |
//! | `data` tenant `photo_key` person | the encrypted key of the person's photos |
//! | `data` tenant `negative` person face | a face that is not the person's |
//! | `data` tenant `disowned` other person face | the person: their negative was made of the other's sample |
//! | `data` tenant `member` group person | place on the roster |
//! | `data` tenant `membership` person group | the group's id: the same, the other way round |
//! | `data` tenant `group_session` session | session of a group |
//! | `data` tenant `agenda` group date session | the session's id, by its local date |
//! | `data` tenant `timetable` group | timetable |
//! | `data` tenant `timetable_tag` tag | the group's id: whose timetable has the tag |
//! | `data` tenant `holidays` | days on which nobody meets |
//! | `data` tenant `attendance` session person | attendance record; the key is what makes a mark unique |
//! | `data` tenant `mark` group record | where the attendance record is, by its id |
//! | `data` tenant `sighting` person session | the group's id: where the person's attendance records are |
//! | `data` tenant `stranger` session stranger | somebody in the session for whom nobody was named |
//! | `data` tenant `sheet` session person | what a closed session's register says of people from this one on |
//! | `data` tenant `erasure` id | a person who was erased |
//! | `data` tenant `answer` id | what a request of the tenant was answered |
//! | `data` tenant `log` | where the tenant's event log begins and ends |
//! | `data` tenant `event` number | event |
//! | `data` tenant `person_event` person number | nothing: the event is about the person |
//! | `data` tenant `group_event` group number | nothing: the event is about the group |
//! | `data` tenant `webhook` id | where events are sent |
//! | `data` tenant `delivery` id | how far the webhook has come |
//! | `data` tenant `dead_letter` id number | event that the webhook could not be told of |
//! | `data` tenant `job` job | job |
//! | `data` tenant `item` job number | the report of one item of a job |
//! | `data` tenant `mention` person job number | the person's pseudonym: the report speaks of them |
//! | `data` tenant `snapshot` | which snapshot of the gallery's index is whole |
//! | `data` tenant `chunk` generation number | a part of a snapshot |

mod events;
mod groups;
mod jobs;
mod letters;
mod parsed;
mod parts;
mod people;
mod server;
mod tenants;
#[cfg(test)]
mod tests;

pub(super) use events::*;
pub(super) use groups::*;
pub(super) use jobs::*;
pub(super) use parsed::{Kind, Parsed, parse};
pub(super) use people::*;
pub(super) use server::*;
pub(super) use tenants::*;

/// A key, or the prefix of several.
pub(super) type Key = Vec<u8>;
/// Stands for a person's id, see [`pseudonyms`](super::pseudonyms).
pub(super) type PersonDigest = [u8; 32];
/// Stands for the beginning of a word of a person, likewise.
pub(super) type WordDigest = [u8; 8];
