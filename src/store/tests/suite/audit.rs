//! The audit log: what is in it and what is not, that it fits itself, and that no change goes without it.

use super::*;
use crate::{
    domain::{
        Consent, LegalBasis, Realm,
        access::audit::{Entry, Head},
    },
    store::{AuditQuery, PersonChange, PersonPhotos, access::audit, keys},
};

/// The chain of a tenant, followed from page to page.
pub(in crate::store) async fn followed(store: &Store, scope: &TenantScope) -> Result<Head> {
    let (mut head, realm) = (Head::default(), scope.author().realm);
    loop {
        let page = store.audit_log(&realm, AuditQuery::default(), head.number, 64).await?;
        page.entries.iter().try_for_each(|entry| head.follow(entry))?;
        if page.next.is_none() {
            return head.ends_at(&page.head).map(|()| head);
        }
    }
}

async fn log(store: &Store, query: AuditQuery) -> Vec<Entry> {
    store.audit_log(&scope("t").author().realm, query, 0, 1000).await.unwrap().entries
}

fn actions(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.act.action.as_str()).collect()
}

#[tokio::test]
async fn what_was_changed_is_there_in_order_after_the_store_was_opened_again() {
    let mut fixture = Fixture::new().await;
    fixture.create_user(&Right::of_machine(), user("ada", Role::Admin, &[])).await.unwrap();
    let t = scope("t").by(working(Actor::User("ada".parse().unwrap()), Permission::ManageGroups, None));
    fixture.create_group(&t, group("c")).await.unwrap();
    let before = followed(&fixture, &t).await.unwrap();
    fixture.reopen();
    assert_eq!(followed(&fixture, &t).await.unwrap(), before);
    fixture.delete_group(&t, &"c".parse().unwrap()).await.unwrap();
    let entries = log(&fixture, AuditQuery::default()).await;
    let expected = ["key.create", "group.create", "group.create", "user.create", "group.create", "group.delete"];
    assert_eq!(actions(&entries), expected);
    let last = &entries[5].act;
    assert_eq!(
        (last.actor.as_str(), &last.request_id, &last.subjects[..]),
        ("user:ada", &None, &["group:c".into()][..])
    );
    assert!(last.before.as_ref().unwrap().contains("Group c") && last.after.is_none());
    assert_eq!(entries[1].act.actor, "machine");
    let server = fixture.audit_log(&Realm::Server, AuditQuery::default(), 0, 10).await.unwrap();
    assert_eq!(actions(&server.entries), ["tenant.create"]);
}

#[tokio::test]
async fn what_changes_nothing_is_not_in_it() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    let before = followed(&fixture, &t).await.unwrap();
    fixture.add_member(&t, &"a".parse().unwrap(), &id("p"), None, now()).await.unwrap();
    fixture.remove_member(&t, &"b".parse().unwrap(), &id("p"), None, now()).await.unwrap();
    fixture.set_consent(&t, &id("p"), None).await.unwrap();
    fixture.update_person(&t, &id("p"), PersonChange::default()).await.unwrap();
    let failed = fixture.create_group(&t, group("a")).await;
    assert_eq!(failed.unwrap_err().code(), "group_exists");
    fixture.mark_photo(&t, photo("a", 29, &["p"])).await.unwrap();
    assert_eq!(followed(&fixture, &t).await.unwrap(), before);
}

#[tokio::test]
async fn nothing_personal_is_in_it_and_whoever_knows_it_finds_it() {
    let fixture = Fixture::new().await;
    let t = scope("t");
    let consent = Consent {
        given_by: "Lord Byron".into(),
        at: now(),
        basis: LegalBasis::Consent,
        expires_at: None,
        note: Some("second drawer".into()),
    };
    let mut ada = Person::new(id("ada-1815"), "Ada Lovelace".into(), now());
    ada.email = Some("ada@engine.example".into());
    ada.metadata = [("seat".to_owned(), "by the window".to_owned())].into();
    ada.consent = Some(consent);
    fixture.create_person(&t, ada, &["a".parse().unwrap()], vec![sample("ada-1815", 0.1)]).await.unwrap();
    fixture.enrol("bob", &[], vec![sample("bob", 0.9)]).await.unwrap();
    let change = PersonChange { name: Some("Ada Byron".into()), ..PersonChange::default() };
    fixture.update_person(&t, &id("ada-1815"), change).await.unwrap();
    fixture.merge_people(&t, &id("bob"), &id("ada-1815"), PersonPhotos::default()).await.unwrap();
    fixture.delete_person(&t, &id("bob"), now()).await.unwrap();
    let prefix = keys::audit_entries(&t.author().realm);
    let stored: Vec<u8> =
        fixture.engine().view().unwrap().scan_bytes(&prefix, None).flat_map(|entry| entry.unwrap().1).collect();
    for text in ["Ada", "Lovelace", "Byron", "ada-1815", "engine.example", "window", "drawer", "bob", "Bob"] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in the log");
    }
    assert!(stored.windows(4).any(|window| window == b"seat"), "which fields there are may be told");
    let about = async |person: &str| {
        let query = AuditQuery { person: Some(id(person)), ..AuditQuery::default() };
        actions(&log(&fixture, query).await).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(about("ada-1815").await, ["person.create", "person.update", "person.merge"]);
    assert_eq!(about("bob").await, ["person.create", "person.merge", "person.delete"]);
    assert!(about("nobody").await.is_empty());
    // Of a change, what differs is told alone.
    let update = &log(&fixture, AuditQuery { action: Some("person.update".into()), ..AuditQuery::default() }).await[0];
    let after: serde_json::Value = serde_json::from_str(update.act.after.as_ref().unwrap()).unwrap();
    assert_eq!(after.as_object().unwrap().keys().collect::<Vec<_>>(), ["name"]);
}

#[tokio::test]
async fn an_entry_that_was_made_anew_removed_or_swapped_is_named() {
    for (case, named) in [("forged", 3), ("removed", 2), ("swapped", 2), ("cut", 6)] {
        let fixture = Fixture::new().await;
        for name in ["p", "q", "r"] {
            fixture.enrol(name, &[], vec![]).await.unwrap();
        }
        let realm = scope("t").author().realm;
        let at = |number| keys::audit_entry(&scope("t").author().realm, number);
        match case {
            "forged" => fixture.forge_audit_entry(realm, 2).await,
            "removed" => tamper(&fixture, move |it| {
                it.remove(at(2));
                Ok(())
            })
            .await
            .unwrap(),
            "cut" => tamper(&fixture, move |it| {
                it.remove(at(6));
                Ok(())
            })
            .await
            .unwrap(),
            _ => {
                let swap = move |it: &mut Transaction<'_>| {
                    let [second, third]: [Entry; 2] = [2, 3].map(|number| it.get(&at(number)).unwrap().unwrap());
                    it.put(at(2), &third)?;
                    it.put(at(3), &second)
                };
                tamper(&fixture, swap).await.unwrap();
            }
        }
        let error = followed(&fixture, &scope("t")).await.unwrap_err();
        assert_eq!(error.code(), "audit_broken", "{case}");
        assert!(error.message().ends_with(&format!("entry {named}")), "{case}: {error}");
        assert!(!fixture.check(|_| None).await.unwrap().is_sound(), "{case}");
    }
}

/// What an operation that forgets its entry does to one record.
type Forgetful = fn(&mut Transaction<'_>) -> Result<()>;

#[tokio::test]
async fn a_change_without_an_entry_fails_and_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fixture.mark_photo(&scope("t"), photo("a", 29, &["p"])).await.unwrap();
    let before = content(&fixture);
    let refused: &[Forgetful] = &[
        |it| it.put(keys::group(scope("t").tenant(), &"c".parse().unwrap()), &group("c")),
        |it| {
            let key = keys::person(scope("t").tenant(), pseudonym(it, "p"));
            it.put(key, &person("q"))
        },
        |it| remove_first(it, &keys::faces(scope("t").tenant())),
        |it| remove_first(it, &keys::members(scope("t").tenant(), &"a".parse().unwrap())),
        |it| remove_first(it, &keys::attendance_in(scope("t").tenant(), photo("a", 29, &[]).session.id)),
        |it| remove_first(it, &keys::api_key(&[0; 32])[..1]),
        |it| it.put(keys::settings(scope("t").tenant()), &crate::domain::TenantSettings::default()),
        // In another chain than its own.
        |it| {
            audit::note(it, &crate::domain::Author::on_server(&Right::of_machine()), "group.create", |it| it)?;
            it.put(keys::group(scope("t").tenant(), &"c".parse().unwrap()), &group("c"))
        },
    ];
    for (n, operation) in refused.iter().enumerate() {
        let error = fixture.write(&Right::of_machine(), *operation).await.unwrap_err();
        assert!(error.message().contains("audit log"), "{n}: {error}");
    }
    let allowed: &[Forgetful] = &[
        // What is there already.
        |it| it.put(keys::group(scope("t").tenant(), &"a".parse().unwrap()), &group("a")),
        |it| {
            let key: ApiKey = it.get(&keys::api_key(&[1; 32]))?.unwrap();
            it.put(keys::api_key(&[1; 32]), &ApiKey { last_used_at: Some(now()), ..key })
        },
    ];
    assert_eq!(content(&fixture), before);
    for operation in allowed {
        fixture.write(&Right::of_machine(), *operation).await.unwrap();
    }
}

fn remove_first(transaction: &mut Transaction<'_>, prefix: &[u8]) -> Result<()> {
    let key = transaction.scan_keys(prefix).next().unwrap()?;
    transaction.remove(key);
    Ok(())
}
