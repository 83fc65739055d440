//! Persons, and what is kept of them.

pub mod consent;
pub mod enrolment;
pub mod kept_photo;
pub mod metadata;
pub mod negative;
pub mod person;
pub mod readable_id;
pub mod words;
