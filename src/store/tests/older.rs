//! Stores of older versions, brought to this one when they are opened.

use super::on_sled::{
    search::{named, query, walked},
    *,
};
use crate::{domain::Amounts, store::operations::open::Format};

#[tokio::test]
async fn a_tenant_of_an_earlier_version_is_counted_once() {
    let mut fixture = Fixture::new().await;
    let t = scope("t");
    for name in ["p", "q"] {
        fixture.enrol(name, &["a"], vec![sample(name, 0.1)]).await.unwrap();
    }
    for (n, tenant) in ["u", "w"].into_iter().enumerate() {
        fixture.create_tenant_with_groups(tenant, 10 + n as u8).await;
    }
    tamper(&fixture, |transaction| {
        transaction.remove(keys::usage(scope("t").tenant()));
        // One of two, and one that cannot be read.
        transaction.remove(keys::usage(scope("u").tenant()));
        transaction.put_bytes(keys::usage(scope("w").tenant()), b"\x01\x0brubbish".to_vec());
        transaction.put(keys::format(), &Format { version: 6 })
    })
    .await
    .unwrap();
    fixture.reopen();
    assert_eq!(fixture.usage(&t).await.unwrap(), Amounts { people: 2, groups: 2, samples: 2 });
    let report = fixture.check(|_| None).await.unwrap();
    assert_eq!(report.problems.values().map(|problem| problem.count).sum::<u64>(), 1, "{report:?}");
    fixture.delete_person(&t, &id("p"), now()).await.unwrap();
    assert_eq!(fixture.usage(&t).await.unwrap(), Amounts { people: 1, groups: 2, samples: 1 });
}

#[tokio::test]
async fn people_of_version_5_are_found_by_the_words_that_were_not_looked_for_then() {
    let mut fixture = Fixture::new().await;
    for (id, name) in [("p1", "Jürgen Müller"), ("p2", "李小明"), ("p3", "Mu\u{308}ller")] {
        fixture.create_person(&scope("t"), named(id, name), &[], vec![]).await.unwrap();
    }
    let old = |transaction: &mut Transaction<'_>| {
        let tenant = "t".parse()?;
        for key in transaction.scan_keys(&keys::words(&tenant)).collect::<Result<Vec<_>>>()? {
            transaction.remove(key);
        }
        transaction.put(keys::format(), &Format { version: 5 })
    };
    tamper(&fixture, old).await.unwrap();
    assert!(walked(&fixture, &query("mueller"), 2).await.is_empty());
    fixture.reopen();
    for (text, expected) in
        [("mueller", &["p1", "p3"][..]), ("muller", &["p1", "p3"]), ("小明", &["p2"]), ("李", &["p2"])]
    {
        assert_eq!(walked(&fixture, &query(text), 1).await, expected, "{text}");
    }
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}
