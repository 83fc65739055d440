//! Who may do what: roles, what each permits, and whom a request comes from.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    actor::{Actor, Realm},
    right::{Author, Right, Shown},
};
use crate::TenantScope;
use crate::ids::{GroupId, SessionId, TenantId};
use error::{Error, ErrorKind, Result};

/// The most groups that one teacher is given.
const MAX_GROUPS: usize = 1000;

/// What a user or a key is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "viewer")]
pub enum Role {
    /// Looks after the server: tenants, backups. Sees no tenant's data.
    Operator,
    /// Everything in one tenant.
    Admin,
    /// Recognises, marks and corrects the groups given to them, and reads those.
    Teacher,
    /// Marks one group, and reads nothing.
    Kiosk,
    /// Reads everything in one tenant, and changes nothing.
    Viewer,
    /// Reads the server's metrics, and nothing else: what collects them.
    Metrics,
}

/// What a route asks of its caller, by what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Tenants, backups, the store.
    Operate,
    /// Users and keys of the caller's own realm.
    ManageAccess,
    /// What was changed in the caller's own realm, and by whom.
    ReadAudit,
    /// The settings of the caller's own tenant.
    ManageSettings,
    /// The caller's own account.
    OwnAccount,
    /// People and their samples.
    ReadPeople,
    /// Enrolling, changing and erasing people; rosters.
    ManagePeople,
    /// Which groups there are.
    ListGroups,
    /// One group with its roster: the names and portraits of its people.
    ReadGroup,
    /// Making, changing and deleting groups.
    ManageGroups,
    /// Recognising one group, and marking it.
    Recognise,
    /// Recognising one group in photos of any time, and reading what came of it.
    RecogniseMany,
    /// Jobs, of which everybody is shown those that they could have started.
    SeeJobs,
    /// The attendance of one group.
    ReadAttendance,
    /// Undoing and changing marks of one group.
    CorrectAttendance,
    /// Naming or measuring faces without regard to groups.
    Identify,
    /// Reports on the attendance of groups.
    ReportAttendance,
    /// Reports on all people.
    ReadReports,
    /// Looking after the gallery.
    MaintainGallery,
    /// What happens, as it happens.
    ReadEvents,
    /// Where events are sent.
    ManageWebhooks,
    /// How the server does.
    ReadMetrics,
    /// The same by tenant.
    ReadTenantsMetrics,
}

impl Permission {
    /// Whether its routes, which name no group, show a caller of few groups no more than those.
    const fn minds_groups(self) -> bool {
        matches!(self, Self::ListGroups | Self::OwnAccount | Self::SeeJobs | Self::ReadEvents | Self::ReportAttendance)
    }
}

impl Role {
    /// The one table.
    pub const fn permits(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Operator => matches!(
                permission,
                P::Operate | P::ManageAccess | P::ReadAudit | P::OwnAccount | P::ReadMetrics | P::ReadTenantsMetrics
            ),
            Self::Metrics => matches!(permission, P::ReadMetrics | P::ReadTenantsMetrics),
            Self::Admin => !matches!(permission, P::Operate | P::ReadTenantsMetrics),
            Self::Teacher => matches!(
                permission,
                P::OwnAccount
                    | P::ListGroups
                    | P::ReadGroup
                    | P::Recognise
                    | P::RecogniseMany
                    | P::SeeJobs
                    | P::ReadAttendance
                    | P::CorrectAttendance
                    | P::ReportAttendance
                    | P::ReadEvents
            ),
            Self::Kiosk => matches!(permission, P::OwnAccount | P::Recognise),
            Self::Viewer => matches!(
                permission,
                P::OwnAccount
                    | P::ReadPeople
                    | P::ListGroups
                    | P::ReadGroup
                    | P::ReadAttendance
                    | P::ReportAttendance
                    | P::ReadReports
                    | P::ReadEvents
            ),
        }
    }

    /// Whether the server's realm has it; all others are a tenant's.
    pub const fn is_of_server(self) -> bool {
        matches!(self, Self::Operator | Self::Metrics)
    }

    /// Whether it is held for some groups only.
    pub const fn is_of_groups(self) -> bool {
        matches!(self, Self::Teacher | Self::Kiosk)
    }
}

/// A role, where it holds. Only [`Grant::new`] makes one, so an operator is never one of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Where it holds.
    pub realm: Realm,
    /// What it is.
    pub role: Role,
    /// The groups it is held for, if it is a role of groups.
    pub groups: Vec<GroupId>,
}

impl Grant {
    /// Errors: `Invalid` `invalid_role` for a role that the realm does not have, or with groups that do not fit it.
    pub fn new(realm: Realm, role: Role, mut groups: Vec<GroupId>) -> Result<Self> {
        let invalid = |message: &'static str| Err(Error::invalid(message).with_code("invalid_role"));
        if (realm == Realm::Server) != role.is_of_server() {
            return invalid("operator and metrics are roles of the server, all others of a tenant");
        }
        groups.sort();
        groups.dedup();
        match role {
            Role::Kiosk if groups.len() != 1 => invalid("a kiosk is for exactly one group"),
            Role::Teacher if groups.len() > MAX_GROUPS => invalid("a teacher has at most 1000 groups"),
            role if !role.is_of_groups() && !groups.is_empty() => invalid("only teachers and kiosks are for groups"),
            _ => Ok(Self { realm, role, groups }),
        }
    }

    /// The operator's.
    pub fn operator() -> Self {
        Self { realm: Realm::Server, role: Role::Operator, groups: Vec::new() }
    }

    /// Everything in `tenant`.
    pub fn admin(tenant: TenantId) -> Self {
        Self { realm: Realm::Tenant(tenant), role: Role::Admin, groups: Vec::new() }
    }

    /// The grant with another role or other groups, where they are given. Groups that a new role cannot have are not
    /// carried over to it. Errors as for [`Self::new`].
    pub fn changed(self, role: Option<Role>, groups: Option<Vec<GroupId>>) -> Result<Self> {
        let role = role.unwrap_or(self.role);
        let kept = if role.is_of_groups() { self.groups } else { Vec::new() };
        Self::new(self.realm, role, groups.unwrap_or(kept))
    }

    /// The groups that it is restricted to; `None` for all.
    pub fn own_groups(&self) -> Option<&[GroupId]> {
        self.role.is_of_groups().then_some(self.groups.as_slice())
    }

    /// Errors unless it permits `permission` on `group`, the one that the request names, if it names one: `Forbidden`,
    /// whether there is such a group or not.
    pub fn require(&self, permission: Permission, group: Option<&GroupId>) -> Result<()> {
        self.require_role(permission)?;
        match (self.own_groups(), group) {
            (None, _) => Ok(()),
            (Some(own), Some(group)) if own.contains(group) => Ok(()),
            (Some(_), None) if permission.minds_groups() => Ok(()),
            (Some(_), _) => Err(forbidden("this group was not given to you")),
        }
    }

    /// Errors unless its role permits `permission` on some group: `Forbidden`. Where the group is known,
    /// [`Self::require`] has the last word.
    pub fn require_role(&self, permission: Permission) -> Result<()> {
        match (permission, self.role) {
            (permission, role) if role.permits(permission) => Ok(()),
            (Permission::Operate | Permission::ReadTenantsMetrics, _) => {
                Err(forbidden("this takes the operator's key"))
            }
            (_, Role::Operator) => Err(forbidden("the operator's key makes tenants; use a tenant's key here")),
            _ => Err(forbidden("this role may not do that")),
        }
    }
}

/// What a checked key or token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    grant: Grant,
    actor: Actor,
    shown: Option<Shown>,
    asked: Option<(Permission, Option<GroupId>)>,
    offline_hours: Option<u16>,
}

impl Access {
    /// To be made only where a key, a token or a password has been checked, or on the machine itself.
    pub fn granted(grant: Grant, actor: Actor) -> Self {
        Self { grant, actor, shown: None, asked: None, offline_hours: None }
    }

    /// The same, for as long as what was shown for it is good.
    #[must_use]
    pub fn showing(self, shown: Shown) -> Self {
        Self { shown: Some(shown), ..self }
    }

    /// The same, let in for `permission` on `group`, the one that the request names, if it names one: what is done with
    /// it takes effect only while that is permitted. Errors as for [`Grant::require`].
    pub fn permitted(self, permission: Permission, group: Option<GroupId>) -> Result<Self> {
        self.require(permission, group.as_ref())?;
        Ok(Self { asked: Some((permission, group)), ..self })
    }

    /// The same, of a key with this allowance.
    #[must_use]
    pub fn with_offline_hours(self, offline_hours: Option<u16>) -> Self {
        Self { offline_hours, ..self }
    }

    /// How long ago photos may have been taken that a kiosk could not send at once.
    pub fn offline(&self) -> SignedDuration {
        SignedDuration::from_hours(self.offline_hours.unwrap_or(0).into())
    }

    /// The login that it comes from, if it does.
    pub fn session(&self) -> Option<SessionId> {
        match self.shown {
            Some(Shown::Login(session)) => Some(session),
            Some(Shown::Secret(_) | Shown::Earlier(_)) | None => None,
        }
    }

    /// Its realm, role and groups.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Whose it is.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What its holder was let in for.
    pub fn right(&self) -> Right {
        let Self { grant: Grant { realm, .. }, actor, shown, asked, .. } = self;
        Right { actor: actor.clone(), realm: realm.clone(), shown: *shown, asked: asked.clone() }
    }

    /// Whose changes are made with it.
    pub fn author(&self) -> Author {
        Author { realm: self.grant.realm.clone(), right: self.right() }
    }

    /// The groups that it is restricted to; `None` for all.
    pub fn groups(&self) -> Option<&[GroupId]> {
        self.grant.own_groups()
    }

    /// Errors as for [`Grant::require`].
    pub fn require(&self, permission: Permission, group: Option<&GroupId>) -> Result<()> {
        self.grant.require(permission, group)
    }

    /// Errors as for [`Grant::require_role`].
    pub fn require_role(&self, permission: Permission) -> Result<()> {
        self.grant.require_role(permission)
    }

    /// The tenant that it opens. Errors: `Forbidden` for the operator's, which opens none.
    pub fn tenant_scope(&self) -> Result<TenantScope> {
        match &self.grant.realm {
            Realm::Tenant(tenant) => Ok(TenantScope::granted(tenant.clone()).by(self.right())),
            Realm::Server => Err(forbidden("the operator's key opens no tenant")),
        }
    }
}

fn forbidden(message: &'static str) -> Error {
    Error::new(ErrorKind::Forbidden, message)
}

/// The error for no key, a wrong one, and one that opens nothing any more: the same words.
pub fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "send a valid key as Authorization: Bearer KEY or X-API-Key: KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm() -> Realm {
        Realm::Tenant("t".parse().unwrap())
    }

    fn groups(ids: &[&str]) -> Vec<GroupId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn a_role_fits_its_realm_and_its_groups() {
        for (realm, role, ids, good) in [
            (Realm::Server, Role::Operator, &[][..], true),
            (Realm::Server, Role::Admin, &[], false),
            (Realm::Server, Role::Metrics, &[], true),
            (Realm::Server, Role::Metrics, &["g"], false),
            (realm(), Role::Metrics, &[], false),
            (realm(), Role::Operator, &[], false),
            (realm(), Role::Admin, &[], true),
            (realm(), Role::Admin, &["g"], false),
            (realm(), Role::Viewer, &["g"], false),
            (realm(), Role::Teacher, &[], true),
            (realm(), Role::Teacher, &["g", "h"], true),
            (realm(), Role::Kiosk, &[], false),
            (realm(), Role::Kiosk, &["g", "g"], true),
            (realm(), Role::Kiosk, &["g", "h"], false),
        ] {
            assert_eq!(Grant::new(realm, role, groups(ids)).is_ok(), good, "{role:?} {ids:?}");
        }
    }

    #[test]
    fn a_changed_grant_keeps_what_is_not_changed_and_fits_its_role() {
        let teacher = Grant::new(realm(), Role::Teacher, groups(&["g", "h"])).unwrap();
        for (role, ids, expected) in [
            (None, None, Some((Role::Teacher, &["g", "h"][..]))),
            (Some(Role::Viewer), None, Some((Role::Viewer, &[][..]))),
            (None, Some(&["i"][..]), Some((Role::Teacher, &["i"][..]))),
            (Some(Role::Kiosk), Some(&["i"][..]), Some((Role::Kiosk, &["i"][..]))),
            (Some(Role::Kiosk), None, None),
            (Some(Role::Viewer), Some(&["i"][..]), None),
            (Some(Role::Operator), None, None),
        ] {
            let changed = teacher.clone().changed(role, ids.map(groups)).ok();
            let expected = expected.map(|(role, ids)| Grant { realm: realm(), role, groups: groups(ids) });
            assert_eq!(changed, expected, "{role:?} {ids:?}");
        }
    }

    #[test]
    fn a_right_says_what_was_asked_and_a_later_grant_may_no_longer_permit_it() {
        let of = |role, ids| Grant::new(realm(), role, groups(ids)).unwrap();
        let actor = Actor::User("u".parse().unwrap());
        let access = Access::granted(of(Role::Teacher, &["g", "h"]), actor.clone());
        let right = access.clone().permitted(Permission::Recognise, Some("g".parse().unwrap())).unwrap().right();
        assert!(access.permitted(Permission::ManagePeople, None).is_err());
        for (grant, holds) in [
            (of(Role::Teacher, &["g"]), true),
            (of(Role::Admin, &[]), true),
            (of(Role::Teacher, &["h"]), false),
            (of(Role::Viewer, &[]), false),
        ] {
            assert_eq!(right.require(&grant).is_ok(), holds, "{grant:?}");
        }
        assert_eq!((right.actor(), right.realm()), (&actor, &realm()));
    }

    #[test]
    fn a_teacher_is_let_into_their_groups_alone() {
        let access = |role, ids| {
            Access::granted(Grant::new(realm(), role, groups(ids)).unwrap(), Actor::User("u".parse().unwrap()))
        };
        let (teacher, admin) = (access(Role::Teacher, &["g"]), access(Role::Admin, &[]));
        let (own, other): (GroupId, GroupId) = ("g".parse().unwrap(), "h".parse().unwrap());
        assert!(teacher.require(Permission::Recognise, Some(&own)).is_ok());
        assert!(teacher.require(Permission::Recognise, Some(&other)).is_err());
        assert!(teacher.require(Permission::Recognise, None).is_err(), "a route that forgot its group");
        assert!(teacher.require(Permission::ListGroups, None).is_ok());
        assert!(teacher.require(Permission::ManageGroups, Some(&own)).is_err());
        assert!(admin.require(Permission::Recognise, Some(&other)).is_ok());
        assert_eq!(teacher.tenant_scope().unwrap().actor(), teacher.actor());
    }
}
