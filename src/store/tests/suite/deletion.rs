//! Deleting a tenant: all of it and nothing else, whatever comes between.

use super::*;
use crate::{
    domain::Realm,
    store::{
        access::deletion::Removal,
        keys::{self, Access, Parsed, Server},
    },
};

/// Gives the tenant `t` so many more records, quickly.
pub(in crate::store) async fn fill(store: &Store, records: usize) {
    let add = move |transaction: &mut crate::store::transaction::Transaction<'_>| {
        (0..records).try_for_each(|n| {
            let person = person(&format!("filler-{n}"));
            transaction.put(keys::person(scope("t").tenant(), Pseudonym::generate()), &person)
        })?;
        let counted = crate::store::access::usage::counted(transaction, scope("t").tenant())?;
        transaction.put(keys::usage(scope("t").tenant()), &counted)
    };
    tamper(store, add).await.unwrap();
}

/// What tells of the deletion once all else has gone.
pub(in crate::store) fn is_of_servers_log(key: &Parsed) -> bool {
    use Access::{AuditEntry, AuditHead, AuditSalt};
    matches!(key, Parsed::Access(Realm::Server, AuditEntry(_) | AuditHead | AuditSalt))
}

#[tokio::test]
async fn a_tenant_goes_with_all_that_it_has_and_alone() {
    let fixture = Fixture::new().await;
    let before = content(&fixture);
    // Ids around `t`, of which it is a prefix or the next byte.
    for (n, name) in ["s", "t2", "t-", "u"].into_iter().enumerate() {
        fixture.create_tenant_with_groups(name, 10 + n as u8).await;
    }
    let mut others: BTreeMap<_, _> =
        content(&fixture).into_iter().filter(|(key, _)| !before.contains_key(key)).collect();
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fixture.mark_photo(&scope("t"), photo("a", 29, &["p"])).await.unwrap();
    fixture.update_tenant(&scope("t"), |_, settings| settings.max_people = Some(9000)).await.unwrap();
    fixture.put_api_key(&Right::of_machine(), tenant_key("t", 99)).await.unwrap();
    fixture.put_snapshot(&scope("t"), vec![7; 200_000].into()).await.unwrap();
    fill(&fixture, 1500).await;

    fixture.begin_deletion(&scope("t")).await.unwrap();
    fixture.begin_deletion(&scope("t")).await.unwrap();
    let t = scope("t");
    let (first, second) = tokio::join!(fixture.finish_deletion(&t, now()), fixture.finish_deletion(&t, now()));
    first.and(second).unwrap();
    let mut left = content(&fixture);
    left.remove(&keys::format()).unwrap();
    let is_erasure =
        |key: &[u8]| matches!(keys::parse(key), Some(Parsed::Server(Server::Erasure(_) | Server::Pending(..))));
    let num_left = left.len();
    left.retain(|key, _| !is_erasure(key));
    assert_eq!(num_left - left.len(), 2, "one erasure, which is pending");
    let servers = |key: &Vec<u8>| keys::parse(key).is_some_and(|key| is_of_servers_log(&key));
    left.retain(|key, _| !servers(key));
    others.retain(|key, _| !servers(key));
    assert_eq!(left, others);
    assert_eq!(fixture.begin_deletion(&scope("t")).await.unwrap_err().code(), "tenant_not_found");
    fixture.finish_deletion(&scope("t"), now()).await.unwrap();
    // A new one of the same id has nothing of the old.
    fixture.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 1)).await.unwrap();
    fixture.finish_deletion(&scope("t"), now()).await.unwrap();
    let record = fixture.tenant_record(&scope("t")).await.unwrap();
    assert_eq!((record.usage, record.settings), Default::default());
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn nothing_is_found_in_or_written_into_a_tenant_that_is_being_deleted() {
    let mut fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fill(&fixture, 600).await;
    let t = scope("t");
    fixture.begin_deletion(&t).await.unwrap();
    let refused = async |fixture: &Fixture| {
        let before = content(fixture);
        let taken = fixture.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 2)).await;
        assert_eq!(taken.unwrap_err().code(), "tenant_deleting");
        let outcomes = [
            fixture.tenant(&t).await.err(),
            fixture.tenant_record(&t).await.err(),
            fixture.open_tenant(&t).await.err(),
            fixture.update_tenant(&t, |_, _| {}).await.err(),
            fixture.put_api_key(&Right::of_machine(), tenant_key("t", 2)).await.err(),
            fixture.enrol("q", &[], vec![sample("q", 0.1)]).await.err(),
            fixture.create_group(&t, group("c")).await.err(),
            fixture.put_snapshot(&t, vec![7; 9].into()).await.err(),
        ];
        for (n, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.map(|error| error.code()), Some("tenant_not_found"), "{n}");
        }
        assert!(fixture.tenants(None, 10).await.unwrap().is_empty());
        assert_eq!(content(fixture), before);
    };
    refused(&fixture).await;
    // What still finds its records half gone is refused as well, or changes nothing that stays.
    let writes = [
        fixture.add_faces(&t, &id("p"), vec![sample("p", 0.2)]).await.map(drop),
        fixture.delete_person(&t, &id("p"), now()).await.map(drop),
        fixture.mark_photo(&t, photo("a", 29, &["p"])).await.map(drop),
        fixture.add_member(&t, &"b".parse().unwrap(), &id("p"), None, now()).await,
    ];
    assert!(writes.iter().all(|write| write.as_ref().is_err_and(|error| error.code() == "tenant_not_found")));
    assert!(matches!(fixture.remove_some_of(&t, now()).await.unwrap(), Removal::Going));
    fixture.reopen();
    refused(&fixture).await;
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
    assert_eq!(fixture.unfinished_deletions().await.unwrap(), [t.tenant().clone()]);
    fixture.finish_deletion(&t, now()).await.unwrap();
    assert!(fixture.unfinished_deletions().await.unwrap().is_empty());
    fixture.create_tenant(&Right::of_machine(), tenant("t"), tenant_key("t", 2)).await.unwrap();
}
