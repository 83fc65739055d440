//! Somebody, or some work, in a tenant.

use std::{ops::Deref, sync::Arc};

use jiff::Timestamp;

use super::access::{Entered, Scope};
use crate::{
    domain::{Access, Role, TenantScope, TenantSettings},
    error::{Error, Result},
    runtime::Clock,
    store::Store,
};

/// A request's visit to a tenant, or that of work which goes on for one: by which right, under which settings and since
/// when. What was looked up at the door is not looked up again. The right does not go stale with it: every write compares
/// it in its own transaction. The request's id goes with the task and with its span, which reach further than a visit.
#[derive(Clone)]
pub struct Visit {
    scope: TenantScope,
    access: Option<Access>,
    settings: Arc<TenantSettings>,
    at: Timestamp,
}

impl Visit {
    /// What was set for the tenant when the visit began.
    pub fn settings(&self) -> &TenantSettings {
        &self.settings
    }

    /// The same, for what has to say later by which it went.
    pub(super) fn shared_settings(&self) -> Arc<TenantSettings> {
        Arc::clone(&self.settings)
    }

    /// When it began.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The kiosk's access, where it is one's.
    pub(super) fn kiosk(&self) -> Option<&Access> {
        self.access.as_ref().filter(|access| access.grant().role == Role::Kiosk)
    }
}

impl Deref for Visit {
    type Target = TenantScope;

    fn deref(&self) -> &TenantScope {
        &self.scope
    }
}

impl Scope for Visit {
    fn of(entered: Entered) -> Result<Self> {
        let Entered { access, settings, at, .. } = entered;
        let scope = access.tenant_scope()?;
        let settings = settings.ok_or_else(|| Error::internal("a tenant was entered without its settings"))?;
        Ok(Self { scope, access: Some(access), settings, at })
    }
}

impl Visit {
    /// The visit of work in a tenant that nobody has come through the door for, or came long ago.
    ///
    /// # Errors
    /// `NotFound` `tenant_not_found`, `Forbidden` `tenant_suspended`.
    pub async fn of_work(store: &Store, clock: &Arc<dyn Clock>, scope: &TenantScope) -> Result<Self> {
        let (settings, at) = (store.open_tenant(scope).await?, clock.now());
        Ok(Self { scope: scope.clone(), access: None, settings: Arc::new(settings), at })
    }
}
