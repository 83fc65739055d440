//! Snapshots of a gallery's index: bytes that can always be made anew, kept only because making them takes long.
//!
//! A snapshot is written in chunks beside the one that counts, under a generation of its own; then one transaction
//! makes it the one that counts and removes all others, so a crash leaves the old snapshot or the new. Chunks without
//! a head go with the next snapshot.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Right, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    store::{
        Store,
        engine::Read,
        failures::damaged,
        keys::{self, Key},
    },
};

/// Bytes in a chunk. sled puts what is much larger into a file of its own.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks in a transaction: others' writes wait for no more than this.
const CHUNKS_AT_ONCE: usize = 8;
/// Keys looked at under one view, with the chunks behind them.
const KEYS_AT_ONCE: usize = 64;

/// Says which snapshot counts.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Head {
    generation: u64,
    num_chunks: u32,
    /// Of all chunks together.
    num_bytes: u64,
}

/// A part of a snapshot.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Chunk(Bytes);

impl Store {
    /// Puts `snapshot` in the place of the tenant's last one. Others' writes go on between its chunks.
    ///
    /// Two at a time for one tenant may leave one that [`Self::snapshot`] refuses.
    pub async fn put_snapshot(&self, scope: &TenantScope, snapshot: Bytes) -> Result<()> {
        let tenant = scope.tenant();
        // One that cannot be read is replaced all the same.
        let last = self.snapshot_head(tenant).await.ok().flatten().map_or(0, |head| head.generation);
        let generation = last.wrapping_add(1);
        let (num_bytes, mut num_chunks) = (snapshot.len() as u64, 0);
        let mut rest = snapshot;
        while !rest.is_empty() {
            let group = rest.split_to(rest.len().min(CHUNK_BYTES * CHUNKS_AT_ONCE));
            num_chunks = self.put_chunks(tenant.clone(), generation, num_chunks, group).await?;
        }
        let old = self.other_chunks(tenant, generation, num_chunks).await?;
        let tenant = tenant.clone();
        self.write(&Right::of_machine(), move |transaction| {
            transaction.put(keys::snapshot(&tenant), &Head { generation, num_chunks, num_bytes })?;
            transaction.remove_each(&old);
            Ok(())
        })
        .await
    }

    /// The tenant's last snapshot.
    ///
    /// Errors: kind `Storage` where it is there but not whole, or a newer version of this program wrote it.
    pub async fn snapshot(&self, scope: &TenantScope) -> Result<Option<Vec<u8>>> {
        let tenant = scope.tenant();
        let Some(Head { generation, num_chunks, num_bytes }) = self.snapshot_head(tenant).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        for number in 0..num_chunks {
            let key = keys::chunk(tenant, generation, number);
            let chunk = self.read(move |view| view.get::<Chunk>(&key)).await?;
            bytes.extend_from_slice(&chunk.ok_or_else(|| damaged("a chunk of a snapshot is missing"))?.0);
        }
        if bytes.len() as u64 == num_bytes { Ok(Some(bytes)) } else { Err(damaged("a snapshot has another length")) }
    }

    /// Removes the tenant's snapshot, if there is one.
    pub async fn remove_snapshot(&self, scope: &TenantScope) -> Result<()> {
        let tenant = scope.tenant().clone();
        let chunks = self.chunk_keys(&tenant).await?;
        self.write(&Right::of_machine(), move |transaction| {
            transaction.remove(keys::snapshot(&tenant));
            transaction.remove_each(&chunks);
            Ok(())
        })
        .await
    }

    async fn snapshot_head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        let key = keys::snapshot(tenant);
        self.read(move |view| view.get(&key)).await
    }

    /// Writes `group` as chunks from number `first` on; returns the number after the last.
    async fn put_chunks(&self, tenant: TenantId, generation: u64, first: u32, group: Bytes) -> Result<u32> {
        self.write(&Right::of_machine(), move |transaction| {
            let mut number = first;
            for part in group.chunks(CHUNK_BYTES) {
                let chunk = Chunk(group.slice_ref(part));
                transaction.put(keys::chunk(&tenant, generation, number), &chunk)?;
                number = number
                    .checked_add(1)
                    .ok_or_else(|| Error::new(ErrorKind::Internal, "a snapshot is too large to store"))?;
            }
            Ok(number)
        })
        .await
    }

    /// The chunks that are not among the first `num_chunks` of `generation`.
    async fn other_chunks(&self, tenant: &TenantId, generation: u64, num_chunks: u32) -> Result<Vec<Key>> {
        let mut keys = self.chunk_keys(tenant).await?;
        let (first, end) = (keys::chunk(tenant, generation, 0), keys::chunk(tenant, generation, num_chunks));
        keys.retain(|key| *key < first || *key >= end);
        Ok(keys)
    }

    /// The keys of all chunks, whatever their generation.
    async fn chunk_keys(&self, tenant: &TenantId) -> Result<Vec<Key>> {
        let prefix = keys::chunks(tenant);
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let (prefix, after) = (prefix.clone(), keys.last().cloned());
            let page = self
                .read(move |view| {
                    let entries = view.scan_bytes(&prefix, after.as_deref()).take(KEYS_AT_ONCE);
                    entries.map(|entry| Ok(entry?.0)).collect::<Result<Vec<Key>>>()
                })
                .await?;
            if page.is_empty() {
                return Ok(keys);
            }
            keys.extend(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        StoreOptions,
        tests::on_sled::{reopened, tenant, tenant_key},
        transaction::Transaction,
    };

    fn scope() -> TenantScope {
        TenantScope::granted("t".parse().unwrap())
    }

    /// With the tenants `t` and `t2`.
    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreOptions::new(folder.path())).unwrap();
        for (n, name) in ["t", "t2"].into_iter().enumerate() {
            store.create_tenant(&Right::of_machine(), tenant(name), tenant_key(name, n as u8)).await.unwrap();
        }
        (folder, store)
    }

    /// Bytes that tell every place and every `seed` apart.
    fn bytes(len: usize, seed: usize) -> Bytes {
        (0..len).map(|at| ((at * 31 + at / 251 + seed) % 253) as u8).collect::<Vec<u8>>().into()
    }

    /// Changes the store under the snapshot, as a crash or a bad disk does.
    async fn spoil(store: &Store, change: impl Fn(&mut Transaction<'_>) + Send + 'static) {
        store
            .write(&Right::of_machine(), move |transaction| {
                change(transaction);
                Ok(())
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_last_snapshot_comes_back_and_nothing_of_the_others_stays() {
        let (folder, store) = store().await;
        assert_eq!(store.snapshot(&scope()).await.unwrap(), None);
        for (seed, len) in [0, 1, CHUNK_BYTES, CHUNK_BYTES * 20 + 7, 3].into_iter().enumerate() {
            store.put_snapshot(&scope(), bytes(len, seed)).await.unwrap();
            assert_eq!(store.snapshot(&scope()).await.unwrap().unwrap(), bytes(len, seed));
            let kept = store.chunk_keys(scope().tenant()).await.unwrap();
            assert_eq!(kept.len(), len.div_ceil(CHUNK_BYTES));
        }
        drop(store);
        let store = reopened(folder.path());
        assert_eq!(store.snapshot(&scope()).await.unwrap().unwrap(), bytes(3, 4));
        let other = TenantScope::granted("t2".parse().unwrap());
        assert_eq!(store.snapshot(&other).await.unwrap(), None);
        store.remove_snapshot(&scope()).await.unwrap();
        assert_eq!(store.snapshot(&scope()).await.unwrap(), None);
        assert!(store.chunk_keys(scope().tenant()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn chunks_that_a_crash_left_do_no_harm_and_go_with_the_next_snapshot() {
        let (_folder, store) = store().await;
        let (t, whole) = (scope().tenant().clone(), bytes(CHUNK_BYTES * 3, 1));
        store.put_snapshot(&scope(), whole.clone()).await.unwrap();
        let next = store.put_chunks(t.clone(), 2, 0, bytes(CHUNK_BYTES * 5, 2)).await.unwrap();
        store.put_chunks(t.clone(), 9, next, bytes(CHUNK_BYTES, 3)).await.unwrap();
        assert_eq!(store.snapshot(&scope()).await.unwrap().unwrap(), whole);
        store.put_snapshot(&scope(), bytes(CHUNK_BYTES + 1, 4)).await.unwrap();
        assert_eq!(store.snapshot(&scope()).await.unwrap().unwrap(), bytes(CHUNK_BYTES + 1, 4));
        assert_eq!(store.chunk_keys(&t).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_snapshot_that_is_not_whole_is_refused_and_can_be_replaced() {
        type Change = fn(&mut Transaction<'_>, &TenantId);
        let changes: [Change; 6] = [
            |transaction, t| transaction.remove(keys::chunk(t, 1, 1)),
            |transaction, t| transaction.put_bytes(keys::chunk(t, 1, 1), Vec::new()),
            |transaction, t| transaction.put(keys::chunk(t, 1, 1), &Chunk(bytes(3, 1))).unwrap(),
            |transaction, t| {
                let mut chunk = transaction.bytes(&keys::chunk(t, 1, 2)).unwrap().unwrap();
                chunk[1000] ^= 4;
                transaction.put_bytes(keys::chunk(t, 1, 2), chunk);
            },
            |transaction, t| {
                let mut head = transaction.bytes(&keys::snapshot(t)).unwrap().unwrap();
                let last = head.len() - 1;
                head[last] ^= 1;
                transaction.put_bytes(keys::snapshot(t), head);
            },
            |transaction, t| transaction.put_bytes(keys::snapshot(t), vec![9; 40]),
        ];
        for change in changes {
            let (_folder, store) = store().await;
            store.put_snapshot(&scope(), bytes(CHUNK_BYTES * 3, 1)).await.unwrap();
            spoil(&store, move |transaction| change(transaction, scope().tenant())).await;
            assert_eq!(store.snapshot(&scope()).await.unwrap_err().kind(), ErrorKind::Storage);
            store.put_snapshot(&scope(), bytes(CHUNK_BYTES * 2, 2)).await.unwrap();
            assert_eq!(store.snapshot(&scope()).await.unwrap().unwrap(), bytes(CHUNK_BYTES * 2, 2));
        }
    }
}
