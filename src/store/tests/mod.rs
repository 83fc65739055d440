//! The store as its callers see it, in a folder of its own for each test: what every engine has to do (`suite`), and what
//! becomes of the embedded one's files.

#![allow(clippy::duplicate_mod, reason = "a suite an engine")]

mod backup;
mod damage;
mod kill;
mod layouts;
mod older;
#[path = "suite/mod.rs"]
mod on_memory;
#[path = "suite/mod.rs"]
pub(super) mod on_sled;
mod pieces;
mod reports;
mod rewrite;
mod salvage;
mod starts;

use std::{any::Any, sync::Arc};

use self::on_sled::tamper;
use super::{
    Store,
    engine::{
        Read,
        sled::{Db, Sled},
    },
    keys,
    transaction::Transaction,
};
use crate::domain::{
    Realm,
    access::audit::{Entry, Head},
};

impl Store {
    /// Puts another entry, sound by itself, in the place of one.
    pub(crate) async fn forge_audit_entry(&self, realm: Realm, number: u64) {
        let forge = move |transaction: &mut Transaction<'_>| {
            let key = keys::audit_entry(&realm, number);
            let mut entry: Entry = transaction.get(&key)?.unwrap();
            let mut before = Head { number: number - 1, hash: entry.previous };
            entry.act.actor = "user:nobody".into();
            transaction.put(key, &before.append(entry.act))
        };
        tamper(self, forge).await.unwrap();
    }
}

/// The embedded engine's database that is live.
fn db(store: &Store) -> Arc<Db> {
    let engine: &dyn Any = &**store.engine();
    engine.downcast_ref::<Sled>().unwrap().live()
}
