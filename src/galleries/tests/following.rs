//! That a loaded gallery is what one loaded anew would be, whatever is changed in the store, and that nobody tells it.

use jiff::ToSpan;

use super::*;
use crate::{
    domain::{
        Consent, ConsentPolicy, FaceId, GalleryPlan, LegalBasis, MetadataPatch, Negative, RowGroups, RowOutcome,
        RowReport, TenantSettings,
    },
    store::{PersonChange, PersonImport, PersonPhotos, RosterGroups, Samples},
};

const T: &str = "t";

/// Two people with two samples each and one without, of whom all have a consent.
async fn filled(folder: &tempfile::TempDir) -> Store {
    let store = store_with_tenants(folder).await;
    let none = || vec![sample("r", 30, 30)];
    for samples in [vec![sample("p", 1, 1), sample("p", 2, 2)], vec![sample("q", 11, 11), sample("q", 12, 12)], none()]
    {
        let id = samples[0].person.clone();
        let consent = Some(consent());
        let person = Person { consent, ..Person::new(id.clone(), id.to_string(), Timestamp::UNIX_EPOCH) };
        store.create_person(&scope(T), person, &[], samples).await.unwrap();
    }
    store
}

fn consent() -> Consent {
    Consent {
        given_by: "a parent".into(),
        at: Timestamp::UNIX_EPOCH,
        basis: LegalBasis::Consent,
        expires_at: None,
        note: None,
    }
}

fn negative(person: &str, of: Option<(&str, FaceSample)>) -> Negative {
    let (of, sample) = of.map_or((None, sample("nobody", 77, 77)), |(of, sample)| (Some(id(of)), sample));
    let FaceSample { id: face, model, vector, .. } = sample;
    Negative { id: face, person: id(person), of, model, vector, created_at: Timestamp::UNIX_EPOCH }
}

/// All that searches can tell of a gallery: for every vector who is how near, and whom it is known not to be.
async fn seen(galleries: &Galleries) -> Option<Vec<(Vec<(String, FaceId)>, usize)>> {
    let gallery = galleries.tenant(&scope(T)).await.ok()?;
    let queries = [1, 2, 11, 12, 13, 21, 22, 30, 77];
    let told = queries.map(|seed| {
        let mut found = gallery.search(&request(&vector(seed), 20, None)).unwrap().per_query.remove(0);
        let all = found.iter().map(|candidate| (candidate.person.to_string(), candidate.face)).collect();
        gallery.disown(&vector(seed), &mut found);
        (all, found.len())
    });
    Some(told.to_vec())
}

/// Has the store changed while a gallery is loaded, and compares that with what is loaded afterwards.
async fn follows<F: Future<Output = ()>>(what: &str, policy: ConsentPolicy, change: impl FnOnce(Store) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    store.update_tenant(&scope(T), move |_, settings| settings.enrolment.consent = policy).await.unwrap();
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let before = seen(&galleries).await;
    change(store.clone()).await;
    let after = seen(&galleries).await;
    assert_ne!(after, before, "{what}: nothing has changed");
    let anew = Galleries::new(store, model(), GalleryOptions::default());
    assert_eq!(after, seen(&anew).await, "{what}");
}

fn row(person: &str, samples: Samples) -> PersonImport {
    PersonImport {
        person: id(person),
        name: Some(person.into()),
        email: None,
        consent: Some(consent()),
        metadata: MetadataPatch::default(),
        groups: RosterGroups { named: Vec::new(), are: RowGroups::default(), zone_of_new: None },
        on_roster_since: None,
        joining_since: None,
        samples,
        at: Timestamp::UNIX_EPOCH,
    }
}

fn report() -> RowReport {
    RowReport {
        line: 1,
        person: None,
        outcome: RowOutcome::Failed,
        error: None,
        samples_added: 0,
        refused: Vec::new(),
        duplicates: Vec::new(),
        groups_made: Vec::new(),
        left: Vec::new(),
    }
}

#[tokio::test]
async fn whatever_is_done_to_people_and_their_samples_is_in_the_next_search() {
    for policy in [ConsentPolicy::Off, ConsentPolicy::Required] {
        let t = || scope(T);
        follows("enrolled", policy, async |store| {
            let person = Person { consent: Some(consent()), ..Person::new(id("s"), "s".into(), Timestamp::UNIX_EPOCH) };
            store.create_person(&t(), person, &[], vec![sample("s", 21, 21)]).await.unwrap();
        })
        .await;
        follows("more samples", policy, async |store| {
            store.add_faces(&t(), &id("p"), vec![sample("p", 21, 21)]).await.unwrap();
        })
        .await;
        follows("other samples", policy, async |store| {
            store.replace_faces(&t(), &id("p"), vec![sample("p", 1, 22)]).await.unwrap();
        })
        .await;
        follows("a sample deleted", policy, async |store| store.delete_face(&t(), &id("p"), face(1)).await.unwrap())
            .await;
        follows("a sample moved", policy, async |store| {
            store.move_face(&t(), &id("p"), face(1), &id("q"), PersonPhotos::default()).await.unwrap();
        })
        .await;
        follows("merged", policy, async |store| {
            store.add_negative(&t(), negative("q", None)).await.unwrap();
            store.add_negative(&t(), negative("r", Some(("p", sample("p", 1, 1))))).await.unwrap();
            store.merge_people(&t(), &id("p"), &id("q"), PersonPhotos::default()).await.unwrap();
        })
        .await;
        follows("imported", policy, async |store| {
            let new = Samples { added: vec![sample("s", 21, 21)].into(), removed: Vec::new() };
            store.import_person(&t(), row("s", new), report(), None).await.unwrap();
            let changed = Samples { added: vec![sample("q", 13, 13)].into(), removed: vec![face(11)] };
            store.import_person(&t(), row("q", changed), report(), None).await.unwrap();
        })
        .await;
        follows("erased", policy, async |store| {
            store.add_negative(&t(), negative("p", None)).await.unwrap();
            store.delete_person(&t(), &id("p"), Timestamp::UNIX_EPOCH).await.unwrap();
        })
        .await;
        follows("erased and enrolled again under the same id", policy, async |store| {
            store.delete_person(&t(), &id("p"), Timestamp::UNIX_EPOCH).await.unwrap();
            let person = Person { consent: Some(consent()), ..Person::new(id("p"), "p".into(), Timestamp::UNIX_EPOCH) };
            store.create_person(&t(), person, &[], vec![sample("p", 21, 21)]).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn negatives_and_consents_are_in_the_next_search() {
    let t = || scope(T);
    follows("a negative", ConsentPolicy::Off, async |store| {
        store.add_negative(&t(), negative("p", Some(("q", sample("q", 11, 11))))).await.unwrap();
        store.add_negative(&t(), negative("p", Some(("p", sample("p", 1, 1))))).await.unwrap();
    })
    .await;
    follows("a consent withdrawn", ConsentPolicy::Required, async |store| {
        store.set_consent(&t(), &id("p"), None).await.unwrap();
    })
    .await;
    follows("a consent that has ended", ConsentPolicy::Required, async |store| {
        let past = Timestamp::now() - 1.hour();
        store.set_consent(&t(), &id("p"), Some(Consent { expires_at: Some(past), ..consent() })).await.unwrap();
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    store.update_tenant(&t(), |_, settings| settings.enrolment.consent = ConsentPolicy::Required).await.unwrap();
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let before = seen(&galleries).await;
    for (given, count) in [(None, 3), (Some(consent()), 5), (None, 3), (Some(consent()), 5)] {
        store.set_consent(&t(), &id("p"), given).await.unwrap();
        assert_eq!(galleries.tenant(&t()).await.unwrap().len(), count, "what was enrolled before is found again");
    }
    assert_eq!(seen(&galleries).await, before);
    store.add_negative(&t(), negative("p", None)).await.unwrap();
    assert_ne!(seen(&galleries).await, before);
    store.delete_negative(&t(), &id("p"), face(77)).await.unwrap();
    assert_eq!(seen(&galleries).await, before);
}

#[tokio::test]
async fn other_names_and_settings_cost_a_gallery_nothing_and_another_rule_of_consent_loads_it_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let t = scope(T);
    let first = galleries.tenant(&t).await.unwrap();
    let change = PersonChange { name: Some("Ada".into()), at: Timestamp::UNIX_EPOCH, ..PersonChange::default() };
    store.update_person(&t, &id("p"), change).await.unwrap();
    let rename = |tenant: &mut Tenant, settings: &mut TenantSettings| {
        tenant.name = "Another".into();
        settings.matching.margin = Some(0.2);
        settings.gallery_plan = Some(GalleryPlan::Exact);
    };
    assert_eq!(first.plan(), GalleryPlan::Auto);
    store.update_tenant(&t, rename).await.unwrap();
    assert!(Arc::ptr_eq(&first, &galleries.tenant(&t).await.unwrap()));
    assert_eq!(first.plan(), GalleryPlan::Exact, "another plan needs no load");
    store.update_tenant(&t, |_, settings| settings.enrolment.consent = ConsentPolicy::Required).await.unwrap();
    store.set_consent(&t, &id("p"), None).await.unwrap();
    let second = galleries.tenant(&t).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second) && second.len() == 3);
    store.update_tenant(&t, |tenant, _| tenant.standing = Standing::Suspended).await.unwrap();
    assert_eq!(galleries.tenant(&t).await.err().unwrap().code(), "tenant_suspended");
    assert!(galleries.loaded_tenants().is_empty(), "it leaves nothing behind");
    store.update_tenant(&t, |tenant, _| tenant.standing = Standing::Active).await.unwrap();
    assert_eq!(galleries.tenant(&t).await.unwrap().len(), 3);
    store.begin_deletion(&t).await.unwrap();
    assert_eq!(galleries.tenant(&t).await.err().unwrap().code(), "tenant_not_found");
    assert_eq!(galleries.tenant(&scope("t2")).await.unwrap().len(), 0, "nobody else is touched");
}

/// A sample that is followed is a row once, whatever else of its person has changed with it.
#[tokio::test]
async fn enrolments_that_are_followed_leave_no_removed_rows() {
    for policy in [ConsentPolicy::Off, ConsentPolicy::Required] {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(&folder).await;
        store.update_tenant(&scope(T), move |_, settings| settings.enrolment.consent = policy).await.unwrap();
        let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
        galleries.tenant(&scope(T)).await.unwrap();
        for n in 100..300 {
            let person = Person {
                consent: Some(consent()),
                ..Person::new(id(&format!("n{n}")), "n".into(), Timestamp::UNIX_EPOCH)
            };
            store.create_person(&scope(T), person, &[], vec![sample(&format!("n{n}"), n, n)]).await.unwrap();
            if n % 3 == 0 {
                galleries.tenant(&scope(T)).await.unwrap();
            }
        }
        let gallery = galleries.tenant(&scope(T)).await.unwrap();
        assert_eq!(gallery.len(), 205);
        assert_eq!(gallery.rebuild().unwrap().removed, 0, "{policy:?}");
    }
}

/// What is changed while a gallery is read from the store is in it as well, whether or not the load has met it.
#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_that_is_loading_takes_what_is_changed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with_tenants(&folder).await;
    for n in 0..400 {
        enrol(&store, T, vec![sample(&format!("p{n}"), n, n)]).await;
    }
    let galleries = Galleries::new(store.clone(), model(), GalleryOptions::default());
    let changes = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..200 {
                store.delete_person(&scope(T), &id(&format!("p{n}")), Timestamp::UNIX_EPOCH).await.unwrap();
                enrol(&store, T, vec![sample(&format!("new{n}"), 1000 + n, 1000 + n)]).await;
            }
        })
    };
    while !changes.is_finished() {
        galleries.unload(&scope(T));
        galleries.tenant(&scope(T)).await.unwrap();
    }
    changes.await.unwrap();
    let gallery = galleries.tenant(&scope(T)).await.unwrap();
    assert_eq!((gallery.len(), gallery.people()), (400, 400));
    for n in 0..200 {
        assert_ne!(best(&galleries, T, n).await.unwrap(), format!("p{n}"));
        assert_eq!(best(&galleries, T, 1000 + n).await.unwrap(), format!("new{n}"));
    }
}
