//! What was granted at the door holds until the effect, and no longer.

use jiff::{SignedDuration, ToSpan};

use super::*;
use crate::{
    domain::{
        Access, Consent, ConsentPolicy, EnrolmentPolicy, LegalBasis, Mark, Realm, RowOutcome, RowReport, SessionId,
        Shown, TenantSettings, UserId,
    },
    error::ErrorKind,
    runtime::ManualClock,
    store::{PersonImport, PersonPhotos, RosterGroups, Samples, Session, UserChange},
};

/// A store with the tenant `t`, at a time that the test moves.
async fn at_a_time() -> (Fixture, Arc<ManualClock>) {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(now())));
    let options = StoreOptions { clock: Arc::clone(&clock) as _, ..self::options(folder.path()) };
    let fixture = Fixture { store: Some(Store::open(options).unwrap()), folder };
    fixture.create_tenant_with_groups("t", 1).await;
    (fixture, clock)
}

fn ada() -> UserId {
    "ada".parse().unwrap()
}

/// The scope of a login of the user `ada`, who was let in to mark the group `a`.
async fn logged_in(store: &Store) -> TenantScope {
    let teacher = user("ada", Role::Teacher, &["a", "b"]);
    store.create_user(&Right::of_machine(), teacher.clone()).await.unwrap();
    let (id, realm) = (SessionId::generate(), teacher.grant.realm.clone());
    let expires_at = now() + 1.hour();
    let session = Session { id, realm, user: ada(), refresh_hash: [1; 32], expires_at };
    store.open_session(session, teacher.password).await.unwrap().unwrap();
    let access = Access::granted(teacher.grant, Actor::User(ada())).showing(Shown::Login(id));
    access.permitted(Permission::Recognise, Some("a".parse().unwrap())).unwrap().tenant_scope().unwrap()
}

async fn set_standing(store: &Store, standing: Standing) {
    store.update_tenant(&scope("t"), move |tenant, _| tenant.standing = standing).await.unwrap();
}

fn change(role: Option<Role>, groups: Option<&[&str]>) -> UserChange {
    let groups = groups.map(|ids| ids.iter().map(|id| id.parse().unwrap()).collect());
    UserChange { role, groups, ..UserChange::default() }
}

/// What becomes of a mark by that scope.
async fn marked(store: &Store, by: &TenantScope) -> Option<(ErrorKind, &'static str)> {
    let marked = store.mark_photo(by, photo("a", 29, &[])).await;
    marked.err().map(|error| (error.kind(), error.code()))
}

const GONE: Option<(ErrorKind, &str)> = Some((ErrorKind::Unauthenticated, "unauthenticated"));
const LESS: Option<(ErrorKind, &str)> = Some((ErrorKind::Forbidden, "forbidden"));

#[tokio::test]
async fn a_logins_right_ends_with_the_login_the_user_the_role_the_group_and_the_tenant() {
    let admin = scope("t").author();
    let (fixture, clock) = at_a_time().await;
    let by = logged_in(&fixture).await;
    assert_eq!(marked(&fixture, &by).await, None);
    fixture.update_user(&admin, &ada(), change(None, Some(&["a"]))).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, None, "another group's end is nothing to it");
    fixture.update_user(&admin, &ada(), change(Some(Role::Admin), None)).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, None, "nor is more than it needs");
    fixture.update_user(&admin, &ada(), change(Some(Role::Teacher), Some(&["b"]))).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, LESS);
    fixture.update_user(&admin, &ada(), change(Some(Role::Viewer), None)).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, LESS);
    fixture.update_user(&admin, &ada(), change(Some(Role::Teacher), Some(&["a"]))).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, None);
    set_standing(&fixture, Standing::Suspended).await;
    assert_eq!(marked(&fixture, &by).await, Some((ErrorKind::Forbidden, "tenant_suspended")));
    set_standing(&fixture, Standing::Active).await;
    assert_eq!(marked(&fixture, &by).await, None);
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(marked(&fixture, &by).await, GONE, "the login is over");

    let (fixture, _) = at_a_time().await;
    let by = logged_in(&fixture).await;
    let password = Some("another".to_owned());
    fixture.update_user(&admin, &ada(), UserChange { password, ..UserChange::default() }).await.unwrap();
    assert_eq!(marked(&fixture, &by).await, GONE, "the login was ended");
    let working = scope("t").by(working(Actor::User(ada()), Permission::RecogniseMany, Some("a")));
    assert_eq!(marked(&fixture, &working).await, None, "work is not tied to a login");
    fixture.delete_user(&admin, &ada()).await.unwrap();
    assert_eq!([marked(&fixture, &by).await, marked(&fixture, &working).await], [GONE, GONE]);
    for (seconds, right) in [(1, GONE), (0, None)] {
        let again = User { created_at: now() + seconds.seconds(), ..user("ada", Role::Teacher, &["a"]) };
        fixture.create_user(&Right::of_machine(), again).await.unwrap();
        assert_eq!(marked(&fixture, &working).await, right, "of whoever has the name {seconds} s later");
        fixture.delete_user(&admin, &ada()).await.unwrap();
    }
    assert_eq!(marked(&fixture, &scope("t")).await, None, "the machine's does not end");
}

#[tokio::test]
async fn a_keys_right_ends_with_the_key() {
    let (fixture, clock) = at_a_time().await;
    let key = |byte| ApiKey { expires_at: Some(now() + 1.minute()), ..tenant_key("t", byte) };
    let (kept, revoked) = (key(2), key(3));
    for key in [&kept, &revoked] {
        fixture.put_api_key(&Right::of_machine(), key.clone()).await.unwrap();
    }
    let by = |key: &ApiKey| scope("t").by(working(Actor::Key(key.id), Permission::Recognise, Some("a")));
    assert_eq!([marked(&fixture, &by(&kept)).await, marked(&fixture, &by(&revoked)).await], [None, None]);
    fixture.delete_api_key(&scope("t").author(), revoked.id).await.unwrap();
    assert_eq!([marked(&fixture, &by(&kept)).await, marked(&fixture, &by(&revoked)).await], [None, GONE]);
    // With another secret it is the same key, for what goes by the key.
    let access = Access::granted(kept.grant.clone(), Actor::Key(kept.id)).showing(Shown::Secret(kept.hash));
    let shown = access.tenant_scope().unwrap();
    assert_eq!(marked(&fixture, &shown).await, None);
    fixture.rotate_api_key(&scope("t").author(), kept.id, [7; 32], "rk_7".into()).await.unwrap();
    assert_eq!([marked(&fixture, &by(&kept)).await, marked(&fixture, &shown).await], [None, GONE]);
    assert_eq!(fixture.caller_with_key(kept.hash).await.unwrap().map(|caller| caller.who), None);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
    clock.advance(SignedDuration::from_mins(1));
    assert_eq!(marked(&fixture, &by(&kept)).await, GONE);
    // One of another realm is none of this one.
    let operator = ApiKey::new([9; 32], Grant::operator(), now());
    fixture.put_api_key(&Right::of_machine(), operator.clone()).await.unwrap();
    assert_eq!(marked(&fixture, &by(&operator)).await, GONE);
}

#[tokio::test]
async fn changes_of_a_user_at_one_time_do_not_undo_each_other() {
    let fixture = Fixture::new().await;
    let admin = scope("t").author();
    assert_eq!(admin.realm, Realm::Tenant(scope("t").tenant().clone()));
    fixture.create_user(&Right::of_machine(), user("ada", Role::Admin, &[])).await.unwrap();
    // As one who has seen the admin would have written it.
    let demoted = UserChange { role: Some(Role::Viewer), ..UserChange::default() };
    fixture.update_user(&admin, &ada(), demoted).await.unwrap();
    let password = UserChange { password: Some("new".into()), ..UserChange::default() };
    assert_eq!(fixture.update_user(&admin, &ada(), password).await.unwrap().grant.role, Role::Viewer);
    let groups = UserChange { groups: Some(vec!["a".parse().unwrap()]), ..UserChange::default() };
    let error = fixture.update_user(&admin, &ada(), groups).await.unwrap_err();
    assert_eq!(error.code(), "invalid_role", "it fits no viewer, whatever it was written for");
    let late = UserChange { password: Some("own".into()), replaces: Some("hash".into()), ..UserChange::default() };
    assert_eq!(fixture.update_user(&admin, &ada(), late).await.unwrap_err().code(), "wrong_password");
    assert_eq!(fixture.user(&admin.realm, &ada()).await.unwrap().password, "new");
}

#[tokio::test]
async fn samples_are_stored_by_the_consent_that_there_is_then() {
    let (fixture, clock) = at_a_time().await;
    let t = scope("t");
    let required = EnrolmentPolicy { consent: ConsentPolicy::Required, ..EnrolmentPolicy::default() };
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fixture.enrol("q", &[], vec![sample("q", 0.2)]).await.unwrap();
    let settings = move |_: &mut Tenant, settings: &mut TenantSettings| settings.enrolment = required;
    fixture.update_tenant(&t, settings).await.unwrap();
    let face = fixture.faces(&t, &id("q")).await.unwrap()[0].id;
    let stored = async || {
        let import = PersonImport {
            person: id("p"),
            name: None,
            email: None,
            metadata: BTreeMap::new(),
            consent: None,
            on_roster_since: None,
            joining_since: None,
            groups: RosterGroups::default(),
            samples: Samples { added: vec![sample("p", 0.5)].into(), removed: Vec::new() },
            at: now(),
        };
        let report = RowReport {
            line: 2,
            person: None,
            outcome: RowOutcome::Failed,
            error: None,
            samples_added: 1,
            refused: Vec::new(),
            duplicates: Vec::new(),
            groups_made: Vec::new(),
            left: Vec::new(),
        };
        [
            fixture.add_faces(&t, &id("p"), vec![sample("p", 0.3)]).await.err(),
            fixture.replace_faces(&t, &id("p"), vec![sample("p", 0.4)]).await.err(),
            fixture.import_person(&t, import, report, None).await.err(),
            fixture.move_face(&t, &id("q"), face, &id("p"), PersonPhotos::default()).await.err(),
        ]
        .map(|error| error.map(|error| error.code()))
    };
    let refused = [Some("consent_required"); 4];
    assert_eq!(stored().await, refused);
    let marked = async || fixture.mark_photo(&t, photo("a", 29, &["p"])).await.unwrap();
    assert_eq!(marked().await, [Mark::NotMarked], "nor is anybody marked");
    assert_eq!(fixture.enrol("r", &[], vec![sample("r", 0.1)]).await.unwrap_err().code(), "consent_required");
    fixture.enrol("r", &[], Vec::new()).await.unwrap();
    let consent = Consent {
        given_by: "a parent".into(),
        at: now(),
        basis: LegalBasis::Consent,
        expires_at: Some(now() + 1.hour()),
        note: None,
    };
    fixture.set_consent(&t, &id("p"), Some(consent.clone())).await.unwrap();
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(stored().await, refused, "it has ended");
    fixture.set_consent(&t, &id("p"), Some(Consent { expires_at: None, ..consent })).await.unwrap();
    assert_eq!(stored().await, [None; 4]);
    assert_eq!(marked().await, [Mark::Marked]);
    fixture.set_consent(&t, &id("p"), None).await.unwrap();
    assert_eq!(stored().await[..3], refused[..3], "it was withdrawn");
}
