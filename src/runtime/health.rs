//! Whether the service can do its work, and why not.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde::Serialize;

use super::lock::lock;

/// The service's readiness: ready as long as no component has a reason not to be. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    reasons: Arc<Mutex<BTreeMap<&'static str, Cow<'static, str>>>>,
}

/// What [`Health::report`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Whether work can be taken.
    pub ready: bool,
    /// Why not, by component.
    pub reasons: BTreeMap<&'static str, Cow<'static, str>>,
}

impl Health {
    /// Notes that `component` cannot work; `reason` is shown to whoever asks, so it holds nothing private.
    pub fn set_unready(&self, component: &'static str, reason: impl Into<Cow<'static, str>>) {
        lock(&self.reasons).insert(component, reason.into());
    }

    /// Takes back what [`set_unready`](Self::set_unready) noted.
    pub fn set_ready(&self, component: &'static str) {
        lock(&self.reasons).remove(component);
    }

    /// Whether nothing stands in the way.
    pub fn is_ready(&self) -> bool {
        lock(&self.reasons).is_empty()
    }

    /// The whole picture at one instant.
    pub fn report(&self) -> HealthReport {
        let reasons = lock(&self.reasons).clone();
        HealthReport { ready: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_reason_is_gone() {
        let health = Health::default();
        assert!(health.is_ready());
        health.set_unready("a", "warming up");
        health.clone().set_unready("b", "given up");
        health.set_ready("a");
        let report = health.report();
        assert!(!report.ready);
        assert_eq!(report.reasons.into_iter().collect::<Vec<_>>(), [("b", "given up".into())]);
        health.set_ready("b");
        assert!(health.is_ready());
    }
}
