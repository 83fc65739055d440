//! Who may do what: API keys, users, their sessions.

use super::{
    super::{
        api_keys::{ApiKey, KeyPlace},
        engine::{Read, View},
        keys,
        users::{Session, User},
    },
    found::{Finding, has_all, misplaced, missing, read},
};
use crate::domain::{Grant, KeyId, Realm, SessionId, UserId};

pub(super) fn api_key(view: &View<'_>, hash: &[u8; 32], bytes: &[u8]) -> Finding {
    read(bytes, |key: &ApiKey| {
        // What cannot be read is noted where it is.
        let place: Option<KeyPlace> = view.get(&keys::key_place(&key.grant.realm, key.id)).unwrap_or(None);
        let listed = place.is_some_and(|place| place.hash == *hash);
        let resolved = reach(view, &key.grant)?;
        Ok(misplaced(key.hash != *hash).or(resolved).or_else(|| missing(!listed, "no_api_key_index")))
    })
}

pub(super) fn key_place(view: &View<'_>, realm: &Realm, id: KeyId, bytes: &[u8]) -> Finding {
    read(bytes, |place: &KeyPlace| {
        let key: Option<ApiKey> = view.get(&keys::api_key(&place.hash)).unwrap_or(None);
        Ok(match key {
            None => Some("no_api_key"),
            Some(key) => misplaced((&key.grant.realm, key.id) != (realm, id)),
        })
    })
}

pub(super) fn user(view: &View<'_>, realm: &Realm, id: &UserId, bytes: &[u8]) -> Finding {
    read(bytes, |user: &User| {
        let resolved = reach(view, &user.grant)?;
        let known = has_all(view, user.sessions.iter().map(|&session| keys::session(session)))?;
        let wrong = (&user.grant.realm, &user.id) != (realm, id);
        Ok(misplaced(wrong).or(resolved).or_else(|| missing(!known, "no_session")))
    })
}

pub(super) fn session(view: &View<'_>, id: SessionId, bytes: &[u8]) -> Finding {
    read(bytes, |session: &Session| {
        let user: Option<User> = view.get(&keys::user(&session.realm, &session.user)).unwrap_or(None);
        let known = user.is_some_and(|user| user.sessions.contains(&id));
        Ok(misplaced(session.id != id).or_else(|| missing(!known, "no_user")))
    })
}

/// Whether what a grant reaches is there.
fn reach(view: &View<'_>, grant: &Grant) -> Finding {
    let Realm::Tenant(tenant) = &grant.realm else { return Ok(None) };
    if !view.has(&keys::tenant(tenant))? {
        return Ok(Some("no_tenant"));
    }
    let known = has_all(view, grant.groups.iter().map(|group| keys::group(tenant, group)))?;
    Ok(missing(!known, "no_group"))
}
