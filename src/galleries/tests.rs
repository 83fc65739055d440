//! Galleries over a real store.

mod following;
mod graphs;
#[path = "../gallery/tests/samples.rs"]
mod samples;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use self::samples::{face, id, model, sample, short_sample, vector};
use super::{follower::NAME_BYTES, *};
use crate::{
    domain::{FaceSample, Grant, Person, PersonId, Right, Standing, Tenant, TenantScope},
    gallery::{GalleryOptions, SearchRequest, TenantGallery},
    store::{ApiKey, Store, StoreOptions},
};

fn request<'a>(queries: &'a [f32], top: usize, roster: Option<&'a [PersonId]>) -> SearchRequest<'a> {
    SearchRequest { queries, top, roster }
}

fn scope(tenant: &str) -> TenantScope {
    TenantScope::granted(tenant.parse().unwrap())
}

async fn store_with_tenants(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(StoreOptions::new(folder.path())).unwrap();
    for (n, name) in ["t", "t2"].into_iter().enumerate() {
        let tenant = Tenant {
            id: name.parse().unwrap(),
            name: name.into(),
            created_at: Timestamp::UNIX_EPOCH,
            standing: Standing::Active,
        };
        let grant = Grant::admin(tenant.id.clone());
        let key = ApiKey::new([n as u8; 32], grant, Timestamp::UNIX_EPOCH);
        store.create_tenant(&Right::of_machine(), tenant, key).await.unwrap();
    }
    store
}

async fn enrol(store: &Store, tenant: &str, samples: Vec<FaceSample>) {
    let id = samples[0].person.clone();
    let person = Person::new(id.clone(), id.to_string(), Timestamp::UNIX_EPOCH);
    store.create_person(&scope(tenant), person, &[], samples).await.unwrap();
}

async fn best(galleries: &Galleries, tenant: &str, seed: u64) -> Option<String> {
    let gallery = galleries.tenant(&scope(tenant)).await.unwrap();
    let result = gallery.search(&request(&vector(seed), 1, None)).unwrap();
    result.per_query[0].first().map(|best| best.person.to_string())
}

#[tokio::test]
async fn a_gallery_follows_its_store_and_is_made_anew_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let t = scope("t");
    enrol(&store, "t", vec![sample("p", 1, 1), sample("p", 2, 2)]).await;
    assert!(galleries.loaded_tenants().is_empty(), "a change loads nothing");
    enrol(&store, "t2", vec![sample("p", 1, 3)]).await;
    assert_eq!(galleries.tenant(&t).await.unwrap().len(), 2);
    assert_eq!(galleries.tenant(&scope("t2")).await.unwrap().len(), 1);

    enrol(&store, "t", vec![sample("q", 5, 5)]).await;
    assert_eq!(best(&galleries, "t", 5).await.unwrap(), "q");
    store.delete_face(&t, &id("p"), face(1)).await.unwrap();
    store.replace_faces(&t, &id("q"), vec![sample("q", 6, 6)]).await.unwrap();
    let followed = galleries.tenant(&t).await.unwrap();
    galleries.unload(&t);
    let anew = galleries.tenant(&t).await.unwrap();
    assert!(!Arc::ptr_eq(&followed, &anew));
    for seed in 1..7 {
        let search = |gallery: &TenantGallery| gallery.search(&request(&vector(seed), 5, None)).unwrap().per_query;
        assert_eq!(search(&followed), search(&anew));
    }
    store.delete_person(&t, &id("q"), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(best(&galleries, "t", 6).await.unwrap(), "p");
    assert_eq!(galleries.loaded_tenants().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_first_searches_load_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    enrol(&store, "t", (0..100).map(|n| sample("p", n, n)).collect()).await;
    let galleries = Galleries::new(store, model(), GalleryOptions::default());
    let loads = (0..20).map(|_| {
        let galleries = galleries.clone();
        tokio::spawn(async move { galleries.tenant(&scope("t")).await.unwrap() })
    });
    let mut loaded = Vec::new();
    for load in loads.collect::<Vec<_>>() {
        loaded.push(load.await.unwrap());
    }
    assert!(loaded.iter().all(|gallery| Arc::ptr_eq(gallery, &loaded[0])));
    assert_eq!(loaded[0].len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_to_one_person_keep_one_order_in_store_and_gallery() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    enrol(&store, "t", vec![sample("p", 1, 1)]).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let changes = (0..40_u64).map(|n| {
        let (store, galleries) = (store.clone(), galleries.clone());
        tokio::spawn(async move {
            let (t, p) = (scope("t"), id("p"));
            if n % 10 == 0 {
                galleries.unload(&t);
            }
            galleries.tenant(&t).await.unwrap();
            let samples = vec![sample("p", 100 + n, 100 + n)];
            store.replace_faces(&t, &p, samples.clone()).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let stored = store.faces(&scope("t"), &id("p")).await.unwrap();
    let gallery = galleries.tenant(&scope("t")).await.unwrap();
    let found = gallery.search(&request(&stored[0].vector, 5, None)).unwrap();
    assert_eq!((stored.len(), gallery.len()), (1, 1));
    assert_eq!(found.per_query[0][0].face, stored[0].id);
}

#[tokio::test]
async fn stored_samples_that_cannot_be_searched_do_not_stop_a_load() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    let mut old = sample("p", 1, 1);
    old.model.name = "older".into();
    enrol(&store, "t", vec![old, short_sample(), sample("p", 2, 2)]).await;
    let gallery = Galleries::new(store, model(), GalleryOptions::default()).tenant(&scope("t")).await.unwrap();
    assert_eq!((gallery.len(), gallery.of_other_models()), (1, 1));
}

/// A store with `count` tenants of one person each: `n` has the sample `n`.
async fn many_tenants(folder: &tempfile::TempDir, count: u64) -> Store {
    let store = Store::open(StoreOptions::new(folder.path())).unwrap();
    for n in 0..count {
        let id: domain::TenantId = format!("n{n}").parse().unwrap();
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_le_bytes());
        let key = ApiKey::new(hash, Grant::admin(id.clone()), Timestamp::UNIX_EPOCH);
        let tenant = Tenant { id, name: "n".into(), created_at: Timestamp::UNIX_EPOCH, standing: Standing::Active };
        store.create_tenant(&Right::of_machine(), tenant, key).await.unwrap();
        enrol(&store, &format!("n{n}"), vec![sample("p", n, n)]).await;
    }
    store
}

fn loaded(galleries: &Galleries) -> Vec<String> {
    let mut names: Vec<_> = galleries.loaded_tenants().into_iter().map(|(tenant, _)| tenant.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn galleries_leave_memory_when_idle_or_when_there_are_too_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = many_tenants(&folder, 6).await;
    let galleries = Galleries::new(store, model(), GalleryOptions::default());
    let long = Duration::from_secs(3600);
    for n in 0..6 {
        galleries.tenant(&scope(&format!("n{n}"))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    // The first is used again: it is not among those used longest ago.
    galleries.tenant(&scope("n0")).await.unwrap();
    // One person each.
    let one = (galleries.tenant(&scope("n5")).await.unwrap().memory_bytes() + NAME_BYTES) as u64;
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 6 * one }), 0);
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 3 * one }), 3);
    assert_eq!(loaded(&galleries), ["n0", "n4", "n5"]);
    // The one used last stays, however large it is, until it is idle.
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: long, bytes: 0 }), 2);
    assert_eq!(galleries.unload_unused(MemoryLimits { idle: Duration::ZERO, bytes: u64::MAX }), 1);
    assert!(loaded(&galleries).is_empty());
    assert_eq!(best(&galleries, "n3", 3).await.unwrap(), "p", "loaded again on demand");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_tenants_in_little_memory_lose_no_change() {
    const TENANTS: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let store = many_tenants(&folder, TENANTS).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let one = galleries.tenant(&scope("n0")).await.unwrap().memory_bytes() as u64;
    // Room for a tenth of them, and a moment's rest is idleness.
    let limits = MemoryLimits { idle: Duration::from_millis(2), bytes: one * TENANTS / 10 };
    let keeper = tokio::spawn(galleries.clone().keep_within(limits));
    let clients = (0..8_u64).map(|client| {
        let (store, galleries) = (store.clone(), galleries.clone());
        tokio::spawn(async move {
            for round in 0..60 {
                let n = (client * 37 + round * 101) % TENANTS;
                let (name, number) = (format!("n{n}"), 1_000_000 + client * 1000 + round);
                let person = format!("c{client}-{round}");
                if round % 2 == 0 {
                    best(&galleries, &name, 0).await.unwrap();
                }
                let enrolled = sample(&person, number, number);
                enrol(&store, &name, vec![enrolled.clone()]).await;
                assert_eq!(best(&galleries, &name, number).await.unwrap(), person, "found by the next search");
                if round % 3 == 0 {
                    store.delete_person(&scope(&name), &id(&person), Timestamp::UNIX_EPOCH).await.unwrap();
                    assert_ne!(best(&galleries, &name, number).await.unwrap(), person, "found by none");
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    for n in 0..TENANTS {
        let scope = scope(&format!("n{n}"));
        let (stored, known) = (store.usage(&scope).await.unwrap(), galleries.tenant(&scope).await.unwrap());
        assert_eq!((stored.samples, stored.people), (known.len() as u64, known.people() as u64), "n{n}");
    }
    keeper.abort();
    galleries.unload_unused(MemoryLimits { idle: Duration::from_secs(3600), bytes: limits.bytes });
    let total: u64 = galleries.loaded_tenants().iter().map(|(_, gallery)| gallery.memory_bytes() as u64).sum();
    assert!(total <= limits.bytes);
}
