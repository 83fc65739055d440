//! The consent that a row of a roster tells of.

use jiff::{
    Timestamp,
    civil::{DateTime, Time},
    tz::TimeZone,
};
use serde_json::Value;

use crate::{
    domain::{Consent, LegalBasis, Person, attendance::roster::DayOrMoment},
    error::{Error, Result},
    intake::RosterConsent,
};

/// The consent of a row where it says anything of one, and where that is not what is `known` already: the time at which it
/// was taken in does not make another of it. One that was withdrawn is not given again by a row of an earlier day, or of
/// none. Days are those of `zone`; the last day counts.
///
/// Errors: `Invalid` `invalid_consent`.
pub(super) fn consent(
    row: &RosterConsent,
    person: Option<&Person>,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Option<Consent>> {
    let RosterConsent { given_by, at, basis, expires_at, note } = row;
    if *row == RosterConsent::default() {
        return Ok(None);
    }
    let given_by = given_by.clone().ok_or_else(|| invalid("a consent needs who gave it"))?;
    let given_at = at.as_deref().map(|text| moment(text, Day::Begins, zone)).transpose()?;
    let expires_at = expires_at.as_deref().map(|text| moment(text, Day::Ends, zone)).transpose()?;
    let basis = basis.as_deref().map_or(Ok(LegalBasis::Consent), legal_basis)?;
    let consent = Consent { given_by, at: now, basis, expires_at, note: note.clone() };
    let of = |at| Consent { at, ..consent.clone() }.checked(now);
    let known = person.and_then(|person| person.consent.as_ref());
    let withdrawn_at = person.and_then(|person| person.consent_withdrawn_at);
    match (given_at, known) {
        (Some(at), known) => {
            let told = Some(of(at)?).filter(|consent| known != Some(consent));
            Ok(told.filter(|consent| withdrawn_at.is_none_or(|withdrawn_at| consent.at > withdrawn_at)))
        }
        (None, None) if withdrawn_at.is_some() => Ok(None),
        (None, Some(known)) if of(known.at).is_ok_and(|again| again == *known) => Ok(None),
        (None, _) => of(now).map(Some),
    }
}

/// Which end of a day is meant where no time is given.
enum Day {
    Begins,
    Ends,
}

/// As rosters write them.
fn moment(text: &str, day: Day, zone: &TimeZone) -> Result<Timestamp> {
    let date = match (text.parse(), day) {
        (Ok(DayOrMoment::Moment(moment)), _) => return Ok(moment),
        (Ok(DayOrMoment::Day(date)), Day::Begins) => Some(date),
        (Ok(DayOrMoment::Day(date)), Day::Ends) => date.tomorrow().ok(),
        (Err(_), _) => None,
    };
    // A time without an offset is one of the same clocks: workbooks say no more.
    let local = date.map(|date| date.to_datetime(Time::midnight())).or_else(|| text.parse::<DateTime>().ok());
    let moment = local.and_then(|local| local.to_zoned(zone.clone()).ok());
    moment.map(|moment| moment.timestamp()).ok_or_else(|| invalid("a consent's days are written as 2026-09-01"))
}

/// By its name in the API.
fn legal_basis(text: &str) -> Result<LegalBasis> {
    let name = text.to_lowercase().replace([' ', '-'], "_");
    serde_json::from_value(Value::String(name)).map_err(|_| {
        invalid("a consent's basis is consent, contract, legal_obligation, vital_interest, public_task or legitimate_interest")
    })
}

fn invalid(message: &'static str) -> Error {
    Error::invalid(message).with_code("invalid_consent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-30T12:00:00Z".parse().unwrap()
    }

    fn row(fields: [&str; 4]) -> RosterConsent {
        let [given_by, at, basis, expires_at] =
            fields.map(|field| Some(field.to_owned()).filter(|field| !field.is_empty()));
        RosterConsent { given_by, at, basis, expires_at, note: None }
    }

    fn read(fields: [&str; 4], known: Option<&Consent>) -> Result<Option<Consent>> {
        let ada = Person::new("ada".parse().unwrap(), "Ada".to_owned(), now());
        let person = known.map(|known| Person { consent: Some(known.clone()), ..ada });
        consent(&row(fields), person.as_ref(), &TimeZone::get("Europe/Vienna").unwrap(), now())
    }

    #[test]
    fn a_row_tells_of_a_consent_as_people_write_it() {
        assert_eq!(read([""; 4], None).unwrap(), None);
        let plain = read(["A parent", "", "", ""], None).unwrap().unwrap();
        assert_eq!((plain.at, plain.basis, plain.expires_at), (now(), LegalBasis::Consent, None));
        for at in ["2026-09-01", "1.9.2026", "01.09.2026", "2026-08-31T22:00:00Z"] {
            let told = read(["A parent", at, "Legal obligation", "2027-07-31"], None).unwrap().unwrap();
            assert_eq!(told.at, "2026-08-31T22:00:00Z".parse().unwrap(), "{at}");
            assert_eq!(told.expires_at, Some("2027-07-31T22:00:00Z".parse().unwrap()), "the whole last day");
            assert_eq!(told.basis, LegalBasis::LegalObligation);
        }
        let hour = read(["A parent", "2026-09-01T10:30:00", "", ""], None).unwrap().unwrap();
        assert_eq!(hour.at, "2026-09-01T08:30:00Z".parse().unwrap());
        for wrong in [
            ["", "2026-09-01", "", ""],
            ["A parent", "09/01/2026", "", ""],
            ["A parent", "2027-09-01", "", ""],
            ["A parent", "", "because", ""],
            ["A parent", "2026-09-01", "", "2026-08-01"],
        ] {
            assert_eq!(read(wrong, None).unwrap_err().code(), "invalid_consent", "{wrong:?}");
        }
    }

    #[test]
    fn the_same_consent_again_is_no_other() {
        for fields in [["A parent", "", "", ""], ["A parent", "2026-09-01", "contract", "2027-07-31"]] {
            let known = read(fields, None).unwrap().unwrap();
            let earlier = Consent { at: "2026-01-01T00:00:00Z".parse().unwrap(), ..known.clone() };
            assert_eq!(read(fields, Some(&known)).unwrap(), None);
            assert_eq!(read(fields, Some(&earlier)).unwrap().is_some(), !fields[1].is_empty());
            let other = Consent { given_by: "An office".into(), ..known.clone() };
            assert_eq!(read(fields, Some(&other)).unwrap(), Some(known));
        }
    }
}
