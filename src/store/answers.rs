//! Answers of requests that are not to be done twice.
//!
//! A request carries a [`Claim`]: who asks, for what, under which key. Every write that it makes also notes the claim,
//! in the same transaction: whatever becomes of the process, a claim is noted if and only if its request took effect.
//! Once there is an answer, it is kept in the note.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store,
    access::erased::{Erased, Traces},
    engine::{Read, View},
    keys::{self, Key},
    transaction::Transaction,
};
use crate::{
    domain::{Right, Tenant, TenantId},
    error::Result,
};

/// Answers looked at under one view.
const SWEPT_AT_ONCE: usize = 256;

/// What the first request under a key did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// SHA-256 of its body, as the door digests it.
    pub body: [u8; 32],
    /// When it took effect.
    pub at: Timestamp,
    /// Status and body of its answer, unless that was lost or is not to be kept.
    pub answer: Option<(u16, Vec<u8>)>,
}

/// One request's right to take effect once.
pub struct Claim {
    key: Key,
    /// What is noted with each write, asked for at that moment: by then the whole body has been read.
    note: Box<dyn Fn() -> KeptAnswer + Send + Sync>,
    noted: AtomicBool,
    /// Whom its answer may show although they have been erased.
    erased: Arc<Erased>,
}

tokio::task_local! {
    static CLAIM: Arc<Claim>;
}

impl Claim {
    /// The claim of `tenant`, or of the operator, to the request that `id` is a digest of.
    pub fn new(
        tenant: Option<&TenantId>,
        id: &[u8; 32],
        note: impl Fn() -> KeptAnswer + Send + Sync + 'static,
    ) -> Self {
        Self {
            key: keys::answer(tenant, id),
            note: Box::new(note),
            noted: AtomicBool::default(),
            erased: Arc::new(Erased::of(tenant)),
        }
    }

    /// Tells claims apart.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    fn write(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        self.noted.store(true, Ordering::Release);
        transaction.put(self.key.clone(), &(self.note)())
    }
}

/// The claim that the current task works under.
pub(super) fn current_claim() -> Option<Arc<Claim>> {
    CLAIM.try_with(Arc::clone).ok()
}

/// Runs `work` such that its writes note `claim`. A task that it spawns has to be [`carried`](super::carried).
pub async fn under_claim<F: Future>(claim: Option<Arc<Claim>>, work: F) -> F::Output {
    match claim {
        Some(claim) => CLAIM.scope(claim, work).await,
        None => work.await,
    }
}

/// Notes the claim in a transaction that has written something.
pub(super) fn note(claim: Option<&Claim>, transaction: &mut Transaction<'_>) -> Result<()> {
    match claim {
        Some(claim) if transaction.has_written() => claim.write(transaction),
        _ => Ok(()),
    }
}

/// Forgets those answers of their tenant that show somebody. That their requests took effect stays noted.
pub(super) fn forget_mentions(transaction: &mut Transaction<'_>, traces: &Traces) -> Result<()> {
    let mut found = Vec::new();
    for entry in transaction.scan_bytes(&keys::answers(Some(traces.tenant())), None) {
        let (key, bytes) = entry?;
        let kept: KeptAnswer = super::codec::decode(&bytes)?;
        if kept.answer.as_ref().is_some_and(|(_, body)| traces.are_in(body)) {
            found.push((key, KeptAnswer { answer: None, ..kept }));
        }
    }
    found.iter().try_for_each(|(key, kept)| transaction.put(key.clone(), kept))
}

impl Store {
    /// What was noted under a claim. To be asked before its request is made.
    pub async fn answer(&self, claim: &Claim) -> Result<Option<KeptAnswer>> {
        self.inner.erasures.watch(&claim.erased);
        let key = claim.key.clone();
        self.read(move |view| view.get(&key)).await
    }

    /// Keeps the answer of a request that has succeeded; not where it shows somebody who was erased meanwhile.
    pub async fn keep_answer(&self, claim: &Claim, answer: Option<(u16, Vec<u8>)>) -> Result<()> {
        let (key, note, erased) = (claim.key.clone(), (claim.note)(), Arc::clone(&claim.erased));
        self.write(&Right::of_machine(), move |transaction| {
            // Asked among the writes: an erasure before this one is known here, one after it finds what is kept.
            let answer = answer.clone().filter(|(_, body)| !erased.are_in(body));
            transaction.put(key.clone(), &KeptAnswer { answer, ..note.clone() })
        })
        .await
    }

    /// Forgets a claim whose request has failed, so that it may be made again.
    pub async fn forget_answer(&self, claim: &Claim) -> Result<()> {
        if !claim.noted.load(Ordering::Acquire) {
            return Ok(());
        }
        let key = claim.key.clone();
        self.write(&Right::of_machine(), move |transaction| {
            transaction.remove(key.clone());
            Ok(())
        })
        .await
    }

    /// Removes the answers from before `end`; how many are left of each tenant, and of the operator (`None`).
    pub async fn sweep_answers(&self, end: Timestamp) -> Result<Vec<(Option<TenantId>, usize)>> {
        let tenants =
            |view: &View<'_>| view.scan::<Tenant>(&keys::tenants(), None).map(|tenant| Ok(tenant?.id)).collect();
        let tenants: Vec<TenantId> = self.read(tenants).await?;
        let mut left = Vec::new();
        for tenant in tenants.into_iter().map(Some).chain([None]) {
            let num_left = self.sweep_answers_under(keys::answers(tenant.as_ref()), end).await?;
            left.push((tenant, num_left));
        }
        Ok(left)
    }

    async fn sweep_answers_under(&self, prefix: Key, end: Timestamp) -> Result<usize> {
        let (mut after, mut num_left) = (None, 0);
        loop {
            let page = self.answers_after(prefix.clone(), after).await?;
            let Some((last, _)) = page.last() else { return Ok(num_left) };
            after = Some(last.clone());
            let num_seen = page.len();
            let old: Vec<Key> = page.into_iter().filter(|&(_, at)| at < end).map(|(key, _)| key).collect();
            num_left += num_seen - old.len();
            if !old.is_empty() {
                self.write(&Right::of_machine(), move |transaction| {
                    transaction.remove_each(&old);
                    Ok(())
                })
                .await?;
            }
        }
    }

    async fn answers_after(&self, prefix: Key, after: Option<Key>) -> Result<Vec<(Key, Timestamp)>> {
        self.read(move |view| {
            let page = view.scan_bytes(&prefix, after.as_deref()).take(SWEPT_AT_ONCE);
            page.map(|entry| {
                let (key, bytes) = entry?;
                Ok((key, super::codec::decode::<KeptAnswer>(&bytes)?.at))
            })
            .collect()
        })
        .await
    }
}
