//! Finding people: who is found, in which order, and what a walk over the pages sees while people change.

use super::*;
use crate::{
    domain::people::words::words,
    store::{PeopleQuery, PersonChange},
};

/// More people than a page passes over, so that walks have to be cut.
const CROWD: usize = 4500;

pub(in crate::store) fn query(text: &str) -> PeopleQuery {
    PeopleQuery { words: words(text), ..PeopleQuery::default() }
}

pub(in crate::store) fn named(id: &str, name: &str) -> Person {
    Person::new(id.parse().unwrap(), name.to_owned(), now())
}

/// The ids on all pages.
pub(in crate::store) async fn walked(fixture: &Fixture, query: &PeopleQuery, limit: usize) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.find_people(&scope("t"), query.clone(), after, limit).await.unwrap();
        seen.extend(page.people.iter().map(|record| record.person.id.to_string()));
        let Some(next) = page.next else { return seen };
        after = Some(next);
    }
}

async fn rename(fixture: &Fixture, person: &str, name: &str) {
    let change = PersonChange { name: Some(name.to_owned()), ..PersonChange::default() };
    fixture.update_person(&scope("t"), &id(person), change).await.unwrap();
}

#[tokio::test]
async fn people_are_found_by_what_they_are_called_now() {
    let mut fixture = Fixture::new().await;
    let long = "ü".repeat(200);
    let people =
        [("p1", "Zoë Ødegård"), ("p2", "Zora Neale"), ("p3", "مُحَمَّد علي"), ("x/p4", "Ada 👩\u{200d}🚀"), ("p5", &long)];
    for (id, name) in people {
        fixture.create_person(&scope("t"), named(id, name), &["a".parse().unwrap()], vec![]).await.unwrap();
    }
    fixture.reopen();
    let mut cases = vec![
        ("zo", vec!["p1", "p2"]),
        ("ZOE odeg", vec!["p1"]),
        ("neale zo", vec!["p2"]),
        ("محمد", vec!["p3"]),
        ("👩🚀", vec!["x/p4"]),
        ("P", vec!["p1", "p2", "p3", "x/p4", "p5"]),
        ("p4 ad", vec!["x/p4"]),
        ("zo nobody", vec![]),
        ("", vec!["p1", "p2", "p3", "x/p4", "p5"]),
    ];
    cases.push((&long, vec!["p5"]));
    let longer = "u".repeat(201);
    cases.push((&longer, vec![]));
    for (text, expected) in cases {
        assert_eq!(walked(&fixture, &query(text), 2).await, expected, "{text}");
    }
    rename(&fixture, "p1", "Ingrid").await;
    fixture.delete_person(&scope("t"), &id("p3"), now()).await.unwrap();
    fixture.remove_member(&scope("t"), &"a".parse().unwrap(), &id("p2"), None, now()).await.unwrap();
    assert_eq!(walked(&fixture, &query("zo"), 2).await, ["p2"]);
    assert_eq!(walked(&fixture, &query("ingrid"), 2).await, ["p1"]);
    assert!(walked(&fixture, &query("محمد"), 2).await.is_empty());
    let of_group = |text| PeopleQuery { group: Some("a".parse().unwrap()), ..query(text) };
    assert_eq!(walked(&fixture, &of_group(""), 1).await, ["p1", "x/p4", "p5"]);
    assert_eq!(walked(&fixture, &of_group("zo"), 1).await, Vec::<String>::new());
    let nowhere = PeopleQuery { group: Some("none".parse().unwrap()), ..query("") };
    let error = fixture.find_people(&scope("t"), nowhere, None, 5).await.unwrap_err();
    assert_eq!(error.code(), "group_not_found");
    fixture.create_tenant_with_groups("t2", 2).await;
    assert!(fixture.find_people(&scope("t2"), query("ada"), None, 5).await.unwrap().people.is_empty());
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_crowd_is_found_whole_whether_many_or_few_have_the_word() {
    let fixture = Fixture::new().await;
    let store = (*fixture).clone();
    let people = (0..CROWD).map(|n| {
        let name = format!("Anna {}", if n % 1000 == 999 { "Rare" } else { "Common" });
        let (store, scope) = (store.clone(), scope("t"));
        tokio::spawn(async move { store.create_person(&scope, named(&format!("p{n:05}"), &name), &[], vec![]).await })
    });
    for person in people.collect::<Vec<_>>() {
        person.await.unwrap().unwrap();
    }
    let rare = ["p00999", "p01999", "p02999", "p03999"];
    assert_eq!(walked(&fixture, &query("rare anna"), 3).await, rare);
    assert_eq!(walked(&fixture, &query("ann comm"), 1000).await.len(), CROWD - rare.len());
    // Everybody has both words' beginnings, nobody has them in two words: pages end though nobody is found.
    let page = fixture.find_people(&scope("t"), query("ann a c p p0000"), None, 3).await.unwrap();
    assert_eq!(ids(&page.people), ["p00000", "p00001", "p00002"]);
    let consent = Some((crate::domain::ConsentState::Valid, now()));
    let nobody = fixture.find_people(&scope("t"), PeopleQuery { consent, ..query("") }, None, 3).await.unwrap();
    assert!(nobody.people.is_empty() && nobody.next.is_some(), "{:?}", nobody.next);
    assert!(walked(&fixture, &PeopleQuery { consent, ..query("anna") }, 3).await.is_empty());
}

#[tokio::test]
async fn who_stays_is_met_once_whatever_else_changes_during_a_walk() {
    for text in ["", "anna"] {
        let fixture = Fixture::new().await;
        for n in 0..40 {
            fixture.create_person(&scope("t"), named(&format!("p{n:02}"), "Anna"), &[], vec![]).await.unwrap();
        }
        let stays = |id: &str| id[1..].parse::<u32>().is_ok_and(|n| n % 4 == 0);
        let (mut seen, mut after, mut round) = (Vec::new(), None, 0);
        loop {
            let page = fixture.find_people(&scope("t"), query(text), after, 3).await.unwrap();
            seen.extend(page.people.iter().map(|record| record.person.id.to_string()));
            let Some(next) = page.next else { break };
            // Before and behind the cursor: some go, some come, some are called otherwise, some twice so.
            for n in (0..40).filter(|n| n % 4 == 1 && n % 7 == round % 7) {
                let _ = fixture.delete_person(&scope("t"), &id(&format!("p{n:02}")), now()).await;
            }
            for n in (0..40).filter(|n| n % 4 == 2 && n % 5 == round % 5) {
                rename(&fixture, &format!("p{n:02}"), if round % 2 == 0 { "Bea" } else { "Anna B" }).await;
            }
            for n in (0..40).filter(|n| n % 4 == 0) {
                rename(&fixture, &format!("p{n:02}"), &format!("Anna Anna{round}")).await;
            }
            let new = named(&format!("p{:02}x", round * 7 % 40), "Anna New");
            let _ = fixture.create_person(&scope("t"), new, &[], vec![]).await;
            (after, round) = (Some(next), round + 1);
        }
        let unique: std::collections::BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "nobody twice: {seen:?}");
        assert_eq!(seen.iter().filter(|id| stays(id)).count(), 10, "{seen:?}");
        assert!(fixture.check(|_| None).await.unwrap().is_sound());
    }
}
