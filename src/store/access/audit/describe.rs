//! What the audit log tells of each kind of record. What is personal (names, addresses, metadata, who gave a consent,
//! notes, ids of people) is told as a digest, by which whoever knows it can find it; vectors and secrets are not told.

use serde_json::{Map, Value, json};

use crate::{
    domain::{
        AttendanceRecord, Consent, FaceId, Group, GroupId, GroupSession, Negative, Person, Tenant, TenantSettings,
        Timetable, Webhook,
        access::audit::Salt,
        attendance::roster::{Member, Period},
    },
    store::{ApiKey, User},
};

/// Can be told of in the audit log.
pub(in crate::store) trait Describe {
    /// All of it that may be told, as an object.
    fn describe(&self, salt: &Salt) -> Value;
}

/// Something in which nothing is personal.
impl Describe for Value {
    fn describe(&self, _: &Salt) -> Value {
        self.clone()
    }
}

/// What may be missing.
impl<D: Describe> Describe for Option<D> {
    fn describe(&self, salt: &Salt) -> Value {
        self.as_ref().map_or(Value::Null, |present| present.describe(salt))
    }
}

/// A person with the groups that they are in.
impl Describe for (&Person, &[GroupId]) {
    fn describe(&self, salt: &Salt) -> Value {
        let (Person { id: _, name, email, metadata, consent, created_at, consent_withdrawn_at }, groups) = *self;
        let metadata: Map<String, Value> =
            metadata.iter().map(|(key, value)| (key.clone(), json!(salt.digest("metadata", value)))).collect();
        json!({
            "name": salt.digest("name", name),
            "email": email.as_ref().map(|email| salt.digest("email", email)),
            "metadata": metadata,
            "consent": consent.describe(salt),
            "created_at": created_at,
            "consent_withdrawn_at": consent_withdrawn_at,
            "groups": groups,
        })
    }
}

impl Describe for Consent {
    fn describe(&self, salt: &Salt) -> Value {
        let Self { given_by, at, basis, expires_at, note } = self;
        json!({
            "given_by": salt.digest("given_by", given_by),
            "at": at,
            "basis": basis,
            "expires_at": expires_at,
            "note": note.as_ref().map(|note| salt.digest("note", note)),
        })
    }
}

/// Samples, by their ids.
pub(in crate::store) fn faces(ids: impl IntoIterator<Item = FaceId>) -> Value {
    json!({ "faces": ids.into_iter().collect::<Vec<_>>() })
}

impl Describe for Negative {
    fn describe(&self, salt: &Salt) -> Value {
        let Self { id: _, person: _, of, model, vector: _, created_at } = self;
        let of = of.as_ref().map(|of| salt.digest("person", of.as_str()));
        json!({ "of": of, "model": model.name, "created_at": created_at })
    }
}

impl Describe for AttendanceRecord {
    fn describe(&self, salt: &Salt) -> Value {
        let Self { id, session: _, person: _, verdict, sightings, corrections, appeal } = self;
        let reason = |reason: &Option<String>| reason.as_ref().map(|reason| salt.digest("reason", reason));
        json!({
            "id": id,
            "state": verdict.state,
            "status": verdict.status,
            "first_seen": verdict.first_seen,
            "sightings": sightings.iter().map(|seen| json!({ "at": seen.at, "refuted": seen.refuted })).collect::<Value>(),
            "said": corrections.last().map(|last| json!({ "what": last.said, "reason": reason(&last.reason), "at": last.at })),
            "appeal": appeal.as_ref().map(|appeal| {
                json!({ "note": salt.digest("note", &appeal.note), "at": appeal.at, "state": appeal.state })
            }),
        })
    }
}

impl Describe for Group {
    fn describe(&self, _: &Salt) -> Value {
        let Self { id: _, name, time_zone, created_at, rules } = self;
        json!({ "name": name, "time_zone": time_zone, "created_at": created_at, "rules": rules })
    }
}

/// Who it is, the entry says by itself.
impl Describe for Member {
    fn describe(&self, _: &Salt) -> Value {
        let Self { person: _, periods } = self;
        let period = |one: &Period| json!({ "since": one.since, "until": one.until, "entered_at": one.entered_at });
        json!({ "periods": periods.iter().map(period).collect::<Value>() })
    }
}

impl Describe for GroupSession {
    fn describe(&self, salt: &Salt) -> Value {
        let Self { id: _, group: _, title, date, starts_at, ends_at, origin, state, expected, .. } = self;
        let reopened = self.reopenings.last().map(|last| salt.digest("reason", &last.reason));
        json!({
            "title": title,
            "date": date,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "origin": origin,
            "state": state,
            "expected": expected,
            "reopened": reopened,
            "counts_joined_later": self.counts_joined_later,
        })
    }
}

/// In what a group meets, nothing is personal.
impl Describe for Timetable {
    fn describe(&self, _: &Salt) -> Value {
        let Self { group: _, tag: _, entries, next: _, holidays } = self;
        json!({ "entries": entries, "holidays": holidays })
    }
}

impl Describe for (&Tenant, &TenantSettings) {
    fn describe(&self, _: &Salt) -> Value {
        let (Tenant { id: _, name, created_at, standing }, settings) = *self;
        json!({ "name": name, "created_at": created_at, "standing": standing, "settings": settings })
    }
}

impl Describe for User {
    fn describe(&self, salt: &Salt) -> Value {
        let Self { id: _, grant, password, created_at, sessions: _ } = self;
        json!({
            "role": grant.role,
            "groups": grant.groups,
            // Of the hash: it shows that there is another password, and nothing else.
            "password": salt.digest("password", password),
            "created_at": created_at,
        })
    }
}

impl Describe for Webhook {
    fn describe(&self, salt: &Salt) -> Value {
        // An address may hold a secret of its receiver's.
        let Self { id: _, url, filter, active, secret: _, created_at } = self;
        json!({
            "url": salt.digest("url", url),
            "kinds": filter.kinds,
            "groups": filter.groups,
            "active": active,
            "created_at": created_at,
        })
    }
}

impl Describe for ApiKey {
    fn describe(&self, _: &Salt) -> Value {
        let Self { id: _, hash: _, prefix, name, grant, created_at, expires_at, last_used_at: _, offline_hours } = self;
        json!({
            "prefix": prefix,
            "name": name,
            "role": grant.role,
            "groups": grant.groups,
            "created_at": created_at,
            "expires_at": expires_at,
            "offline_hours": offline_hours,
        })
    }
}
