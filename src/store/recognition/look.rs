//! What is looked at before work begins, each as of one moment and by one read: whom a request comes from, what a
//! recognition goes by, whether an enrolment has a chance.

use jiff::Timestamp;

use crate::{
    domain::{
        FaceSample, Group, GroupId, GroupSession, GroupSessionId, Person, PersonId, Realm, SessionId, TenantId,
        TenantScope, TenantSettings,
    },
    error::{Error, ErrorKind, Result},
    store::{
        ApiKey, Growth, Store, User,
        access::{tenants, usage::grown, users},
        attendance::{groups::require_group, rosters, sessions},
        engine::{Read, View},
        group_not_found, keys,
        people::pseudonyms::{find, pseudonym},
        person_not_found,
    },
};

/// Somebody at the door, and what was set for the tenant that they want to enter.
pub struct Caller<T> {
    /// Who.
    pub who: T,
    /// Nothing for the server's own. Errors: `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub settings: Result<Option<TenantSettings>>,
}

/// Which session is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSought {
    /// None.
    None,
    /// This one, which has to be the group's.
    Of(GroupSessionId),
    /// The one that takes photos of that time, see [`Store::session_at`].
    AtThatTime,
}

/// What a recognition goes by.
pub struct Look {
    /// The group.
    pub group: Group,
    /// Who belongs to it at that time.
    pub roster: Vec<PersonId>,
    /// The session that was looked for. Errors: `NotFound` `session_not_found`, `Conflict` `no_session`.
    pub session: Option<Result<GroupSession>>,
}

impl Store {
    /// The key with this SHA-256.
    pub async fn caller_with_key(&self, hash: [u8; 32]) -> Result<Option<Caller<ApiKey>>> {
        self.read(move |view| {
            let key: Option<ApiKey> = view.get(&keys::api_key(&hash))?;
            Ok(key.map(|key| Caller { settings: entered(view, &key.grant.realm), who: key }))
        })
        .await
    }

    /// The user of a login that is not over at `now`.
    pub async fn caller_logged_in(&self, session: SessionId, now: Timestamp) -> Result<Option<Caller<User>>> {
        self.read(move |view| {
            let user = users::live(view, session, now)?.map(|(_, user)| user);
            Ok(user.map(|user| Caller { settings: entered(view, &user.grant.realm), who: user }))
        })
        .await
    }

    /// What a recognition in photos that were taken at `at` goes by. Errors: `NotFound` `group_not_found`.
    pub async fn look(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        at: Timestamp,
        meeting: SessionSought,
    ) -> Result<Look> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            let group: Group = view.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            let roster = rosters::roster_at(view, &tenant, &group.id, at)?;
            let session = match meeting {
                SessionSought::None => None,
                SessionSought::Of(session) => Some(session_of(view, &tenant, &group.id, session)),
                SessionSought::AtThatTime => Some(sessions::at(view, &tenant, &group, at)),
            };
            Ok(Look { group, roster, session })
        })
        .await
    }

    /// A group, and one of its sessions, if one is looked for: that may be an error of its own, `NotFound`
    /// `session_not_found`. Errors: `NotFound` `group_not_found`.
    pub async fn group_with_session(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        session: Option<GroupSessionId>,
    ) -> Result<(Group, Option<Result<GroupSession>>)> {
        let (tenant, group) = (scope.tenant().clone(), group.clone());
        self.read(move |view| {
            let group: Group = view.get(&keys::group(&tenant, &group))?.ok_or_else(group_not_found)?;
            let session = session.map(|session| session_of(view, &tenant, &group.id, session));
            Ok((group, session))
        })
        .await
    }

    /// Errors where the enrolment of a new person would be refused at this moment, so that no work is done for it:
    /// `Conflict` `limit_reached` or `person_exists`; `NotFound` `group_not_found`.
    pub async fn require_enrollable(&self, scope: &TenantScope, person: &PersonId, groups: &[GroupId]) -> Result<()> {
        let (tenant, person, groups) = (scope.tenant().clone(), person.clone(), groups.to_vec());
        let limits = self.inner.default_limits;
        self.read(move |view| {
            grown(view, &tenant, limits, Growth { people: 1, samples: 1, groups: 0 })?;
            groups.iter().try_for_each(|group| require_group(view, &tenant, group).map(drop))?;
            match pseudonym(view, &tenant, &person)? {
                Some(_) => {
                    Err(Error::new(ErrorKind::Conflict, "there is a person of this id already")
                        .with_code("person_exists"))
                }
                None => Ok(()),
            }
        })
        .await
    }

    /// A person with their samples. Errors: `NotFound` `person_not_found`; `Conflict` `limit_reached` where the tenant
    /// has no room for one sample more.
    pub async fn person_to_add_to(&self, scope: &TenantScope, person: &PersonId) -> Result<(Person, Vec<FaceSample>)> {
        let (tenant, person, limits) = (scope.tenant().clone(), person.clone(), self.inner.default_limits);
        self.read(move |view| {
            let known = with_samples(view, &tenant, &person)?.ok_or_else(person_not_found)?;
            grown(view, &tenant, limits, Growth { samples: 1, ..Growth::default() })?;
            Ok(known)
        })
        .await
    }

    /// A person with their samples, if they are there.
    pub async fn person_with_samples(
        &self,
        scope: &TenantScope,
        person: &PersonId,
    ) -> Result<Option<(Person, Vec<FaceSample>)>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| with_samples(view, &tenant, &person)).await
    }
}

fn entered(view: &View<'_>, realm: &Realm) -> Result<Option<TenantSettings>> {
    match realm {
        Realm::Server => Ok(None),
        Realm::Tenant(tenant) => tenants::open_settings(view, tenant).map(Some),
    }
}

fn session_of(view: &View<'_>, tenant: &TenantId, group: &GroupId, session: GroupSessionId) -> Result<GroupSession> {
    let session = sessions::require(view, tenant, session)?;
    if session.group != *group {
        return Err(Error::not_found("the group has no such session").with_code("session_not_found"));
    }
    Ok(session)
}

fn with_samples(view: &View<'_>, tenant: &TenantId, person: &PersonId) -> Result<Option<(Person, Vec<FaceSample>)>> {
    let Some((who, person)) = find(view, tenant, person)? else { return Ok(None) };
    let samples = view.scan(&keys::faces_of(tenant, who), None).collect::<Result<_>>()?;
    Ok(Some((person, samples)))
}
