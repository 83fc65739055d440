//! Whom answers must not show: people who are erased while requests are under way that may have read of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value;

use crate::domain::TenantId;

/// What a name stands under in every answer. Names are not unique, and whose a name is stands beside it.
const NAME: &str = "name";

/// What an answer shows somebody by: ids of theirs and of their samples.
pub(in crate::store) struct Traces {
    tenant: TenantId,
    ids: Vec<String>,
}

impl Traces {
    pub(in crate::store) fn new(tenant: &TenantId, ids: Vec<String>) -> Self {
        Self { tenant: tenant.clone(), ids }
    }

    pub(in crate::store) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Whether an answer shows them. One that cannot be read may.
    pub(in crate::store) fn are_in(&self, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        // Most answers do not even hold the letters.
        self.ids.iter().any(|id| text.contains(escaped(id).as_str()))
            && serde_json::from_slice(body).map_or(true, |answer| self.are_in_value(&answer))
    }

    fn are_in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.ids.contains(text),
            Value::Array(values) => values.iter().any(|value| self.are_in_value(value)),
            Value::Object(fields) => fields.iter().any(|(key, value)| key != NAME && self.are_in_value(value)),
            _ => false,
        }
    }
}

/// A text as JSON has it.
fn escaped(text: &str) -> String {
    Value::from(text).to_string()
}

/// Who was erased since one request began.
pub(in crate::store) struct Erased {
    tenant: Option<TenantId>,
    traces: Mutex<Vec<Arc<Traces>>>,
}

impl Erased {
    /// Nobody yet of `tenant`; the operator's answers show nobody.
    pub(in crate::store) fn of(tenant: Option<&TenantId>) -> Self {
        Self { tenant: tenant.cloned(), traces: Mutex::default() }
    }

    /// Whether an answer shows one of them.
    pub(in crate::store) fn are_in(&self, body: &[u8]) -> bool {
        lock(&self.traces).iter().any(|traces| traces.are_in(body))
    }

    fn add(&self, traces: &Arc<Traces>) {
        if self.tenant.as_ref() == Some(&traces.tenant) {
            lock(&self.traces).push(Arc::clone(traces));
        }
    }
}

/// Erasures and requests under way, which hear of each other.
#[derive(Default)]
pub(in crate::store) struct Erasures(Mutex<UnderWay>);

#[derive(Default)]
struct UnderWay {
    requests: Vec<Weak<Erased>>,
    /// How many erasures are not over.
    open: usize,
    /// Of whom something may still be read: of those erased since one of the open erasures began.
    erased: Vec<Arc<Traces>>,
}

impl Erasures {
    /// Tells `request` from here on who is erased, and who is being erased.
    pub(in crate::store) fn watch(&self, request: &Arc<Erased>) {
        let mut under_way = lock(&self.0);
        under_way.erased.iter().for_each(|traces| request.add(traces));
        under_way.requests.retain(|request| request.strong_count() > 0);
        under_way.requests.push(Arc::downgrade(request));
    }

    /// Begins an erasure, which is over when nobody reads of the person any more.
    pub(in crate::store) fn begin(self: &Arc<Self>) -> Erasing {
        lock(&self.0).open += 1;
        Erasing(Arc::clone(self))
    }
}

/// An erasure that is not over until it is dropped.
#[must_use = "dropping it says that nobody reads of the person any more"]
pub struct Erasing(Arc<Erasures>);

impl Erasing {
    /// Tells every request under way. To be called among the writes.
    pub(in crate::store) fn tell(&self, traces: Traces) {
        let (traces, mut under_way) = (Arc::new(traces), lock(&self.0.0));
        under_way.requests.iter().filter_map(Weak::upgrade).for_each(|request| request.add(&traces));
        under_way.erased.push(traces);
    }
}

impl Drop for Erasing {
    fn drop(&mut self) {
        let mut under_way = lock(&self.0.0);
        under_way.open -= 1;
        if under_way.open == 0 {
            under_way.erased.clear();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
