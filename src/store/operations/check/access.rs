//! Who may do what: API keys, users, their sessions.

use super::found::{Entry, Finding, OfRealm, has_all, misplaced, missing};
use crate::{
    domain::{Grant, KeyId, Realm, SessionId, UserId},
    store::{
        access::{
            api_keys::{ApiKey, KeyPlace},
            users::{Session, User},
        },
        engine::{Read, View},
        keys,
    },
};

pub(in crate::store) fn api_key(of: &Entry<'_>, hash: &[u8; 32]) -> Finding {
    of.read(|key: &ApiKey| {
        let place: Option<KeyPlace> = of.get(&keys::key_place(&key.grant.realm, key.id));
        let listed = place.is_some_and(|place| place.hash == *hash);
        let resolved = reach(of.view, &key.grant)?;
        Ok(misplaced(key.hash != *hash).or(resolved).or_else(|| missing(!listed, "no_api_key_index")))
    })
}

pub(in crate::store) fn key_place(of: &OfRealm<'_>, id: KeyId) -> Finding {
    of.read(|place: &KeyPlace| {
        let key: Option<ApiKey> = of.get(&keys::api_key(&place.hash));
        Ok(match key {
            None => Some("no_api_key"),
            Some(key) => misplaced((&key.grant.realm, key.id) != (of.realm, id)),
        })
    })
}

pub(in crate::store) fn user(of: &OfRealm<'_>, id: &UserId) -> Finding {
    of.read(|user: &User| {
        let resolved = reach(of.view, &user.grant)?;
        let known = has_all(of.view, user.sessions.iter().map(|&session| keys::session(session)))?;
        let wrong = (&user.grant.realm, &user.id) != (of.realm, id);
        Ok(misplaced(wrong).or(resolved).or_else(|| missing(!known, "no_session")))
    })
}

pub(in crate::store) fn session(of: &Entry<'_>, id: SessionId) -> Finding {
    of.read(|session: &Session| {
        let user: Option<User> = of.get(&keys::user(&session.realm, &session.user));
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
