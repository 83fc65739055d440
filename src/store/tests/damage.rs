//! Stores that cannot be opened or read: an error that says what to do, never a panic, and never a store that opens
//! without its latest acknowledged writes.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{db, on_sled::*};
use crate::{
    error::ErrorKind,
    service::access::first_start::{DEFAULT_TENANT, first_start, tenant_key_path},
};

const PEOPLE: usize = 200;

/// A closed store with [`PEOPLE`] people in it.
pub(super) struct Damaged {
    fixture: Fixture,
    /// What was in it.
    content: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its files as they were.
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Damaged {
    pub(super) async fn new() -> Self {
        let mut fixture = Fixture::new().await;
        let faces = |name: &str| vec![sample(name, 0.1)];
        let enrolments = (0..PEOPLE).map(|n| format!("p{n}"));
        for name in enrolments {
            fixture.enrol(&name, &["a"], faces(&name)).await.unwrap();
        }
        let content = content(&fixture);
        // A first start leaves no snapshot of sled's.
        fixture.store = None;
        fixture.reopen();
        fixture.store = None;
        let files = files(&fixture).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Self { fixture, content, files }
    }

    /// Puts all files back as they were but `name`, which gets `bytes`.
    pub(super) fn damage(&self, name: &str, bytes: &[u8]) {
        for path in files(&self.fixture) {
            fs::remove_file(path).unwrap();
        }
        for (path, bytes) in &self.files {
            fs::write(path, bytes).unwrap();
        }
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.fixture.folder.path().join("1").join(name)
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        self.fixture.folder.path()
    }

    /// What was in it.
    pub(super) fn content(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.content
    }

    /// How many people were.
    pub(super) const fn people() -> usize {
        PEOPLE
    }

    /// The names of its files.
    pub(super) fn names(&self) -> Vec<String> {
        files(&self.fixture).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    pub(super) fn original(&self, name: &str) -> &[u8] {
        &self.files[&self.path(name)]
    }

    /// Whether it opens, sound and with all that was in it.
    pub(super) async fn opens_whole(&self) -> bool {
        let opened = reopened(self.fixture.folder.path());
        content(&opened) == self.content && opened.check(|_| None).await.unwrap().is_sound()
    }

    /// Opens it and reads everything in it: the number of people and of their samples.
    async fn read_all(&self) -> Result<(usize, usize)> {
        let store = Store::open(StoreOptions::new(self.fixture.folder.path()))?;
        let people = everybody(&store, "t").await?;
        Ok((people.len(), faces_seen(&store, 2).await?.len()))
    }
}

fn files(fixture: &Fixture) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(fixture.folder.path().join("1"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
}

fn assert_says_what_to_do(error: &crate::Error, case: &str) {
    assert_eq!(error.kind(), ErrorKind::Storage, "{case}");
    assert!(["store_damaged", "damaged_record"].contains(&error.code()), "{case}: {error:?}");
    assert!(error.message().contains("backup"), "{case}: {error:?}");
}

#[tokio::test]
async fn a_cut_database_is_refused_or_found_by_the_check() {
    let store = Damaged::new().await;
    let database = store.original("db").to_vec();
    for percent in [0, 1, 10, 30, 50, 70, 90, 95, 98] {
        store.damage("db", &database[..database.len() * percent / 100]);
        match Store::open(StoreOptions::new(store.fixture.folder.path())) {
            // It ends in what is no longer in use, or sled, which has noted where its pages lie, does not look for them
            // before they are read.
            Ok(opened) => match opened.check(|_| None).await {
                Ok(report) => assert_eq!(report.is_sound(), content(&opened) == store.content, "cut at {percent} %"),
                Err(error) => assert_says_what_to_do(&error, &format!("cut at {percent} %, by the check")),
            },
            Err(error) => assert_says_what_to_do(&error, &format!("cut at {percent} %")),
        }
    }
    store.damage("db", &database);
    assert_eq!(store.read_all().await.unwrap(), (PEOPLE, PEOPLE), "put back whole, it opens");
}

#[tokio::test]
async fn garbage_in_place_of_a_file_is_refused() {
    let store = Damaged::new().await;
    let length = store.original("db").len();
    for (case, bytes) in [("noise", vec![0xA5; length]), ("zeros", vec![0; length]), ("text", b"not a store".to_vec())]
    {
        store.damage("db", &bytes);
        assert_says_what_to_do(&store.read_all().await.unwrap_err(), case);
    }
    store.damage("conf", b"neither a configuration nor anything else");
    assert_says_what_to_do(&store.read_all().await.unwrap_err(), "conf");
}

#[tokio::test]
async fn a_flipped_bit_is_refused_or_found_by_the_check() {
    let store = Damaged::new().await;
    let database = store.original("db").to_vec();
    let (mut refused, mut silent) = (0, 0);
    for n in 0..40 {
        let mut flipped = database.clone();
        flipped[database.len() * n / 40 + 100] ^= 0x10;
        store.damage("db", &flipped);
        match store.read_all().await {
            // sled may leave out the page that the bit belongs to; see the limits in `marker`.
            Ok(_) => {
                let opened = reopened(store.fixture.folder.path());
                match opened.check(|_| None).await {
                    Ok(report) => {
                        assert_eq!(report.is_sound(), content(&opened) == store.content, "flip {n}: {report:?}");
                        silent += usize::from(!report.is_sound());
                    }
                    Err(error) => assert_says_what_to_do(&error, &format!("flip {n}, by the check")),
                }
            }
            Err(error) => {
                assert_says_what_to_do(&error, &format!("flip {n}"));
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "no flip hit anything that is in use");
    println!("{refused} of 40 flips were refused at once, {silent} found by the check alone");
}

#[tokio::test]
async fn a_damaged_record_is_an_error_to_its_readers_only() {
    let fixture = Fixture::new().await;
    for name in ["p", "q"] {
        fixture.enrol(name, &[], vec![sample(name, 0.1)]).await.unwrap();
    }
    tamper(&fixture, |transaction| {
        let key = crate::store::keys::person(scope("t").tenant(), pseudonym(transaction, "p"));
        transaction.put_bytes(key, b"\x01\x06rubbish".to_vec());
        Ok(())
    })
    .await
    .unwrap();
    let error = fixture.person(&scope("t"), &id("p")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "damaged_record"));
    assert_eq!(everybody(&fixture, "t").await.unwrap_err().code(), "damaged_record");
    assert_eq!(fixture.person(&scope("t"), &id("q")).await.unwrap().faces.len(), 1);
    assert!(fixture.is_healthy());
    fixture.delete_person(&scope("t"), &id("p"), now()).await.unwrap();
    assert_eq!(ids(&everybody(&fixture, "t").await.unwrap()), ["q"]);
    assert!(fixture.check(|_| None).await.unwrap().is_sound(), "their words went too");
}

#[tokio::test]
async fn a_damaged_tenant_is_not_taken_for_a_missing_one() {
    let fixture = Fixture::new().await;
    let data = tempfile::tempdir().unwrap();
    first_start(&fixture, data.path(), now()).await.unwrap();
    let key_file = tenant_key_path(data.path(), scope(DEFAULT_TENANT).tenant());
    let key = fs::read(&key_file).unwrap();
    first_start(&fixture, data.path(), now()).await.unwrap();
    tamper(&fixture, |transaction| {
        let at = crate::store::keys::tenant(scope(DEFAULT_TENANT).tenant());
        transaction.put_bytes(at, b"\x01\x06rubbish".to_vec());
        Ok(())
    })
    .await
    .unwrap();
    let error = first_start(&fixture, data.path(), now()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "damaged_record"));
    assert_eq!(fs::read(&key_file).unwrap(), key, "the key that opens the tenant is left alone");
}

#[tokio::test]
async fn a_second_opener_is_refused_until_the_first_has_gone() {
    let mut fixture = Fixture::new().await;
    let options = || StoreOptions::new(fixture.folder.path());
    let error = Store::open(options()).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "store_locked"));
    assert!(error.message().contains("another process"));
    fixture.store = None;
    Store::open(StoreOptions::new(fixture.folder.path())).unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"in the way").unwrap();
    let error = Store::open(StoreOptions::new(file.join("store"))).err().unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "store_io"));
}

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_acknowledged() {
    let fixture = Fixture::new().await;
    db(&fixture).fail();
    assert!(!fixture.is_healthy());
    let error = fixture.enrol("p", &[], vec![]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "store_failed"));
    assert!(everybody(&fixture, "t").await.unwrap().is_empty(), "reading goes on");
}

#[cfg(unix)]
#[test]
fn the_folder_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/store");
    drop(Store::open(StoreOptions::new(&path)).unwrap());
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Here it is the observer of events that panics, on the thread that flushes.
#[tokio::test]
async fn a_thread_that_dies_fails_the_store_and_what_was_under_way_is_unknown() {
    let mut fixture = Fixture::new().await;
    fixture.enrol("p", &["a"], vec![sample("p", 0.1)]).await.unwrap();
    fixture.store = None;
    let on_event: crate::store::EventObserver = Arc::new(|_| panic!("an observer of the test"));
    let mut options = StoreOptions::new(fixture.folder.path());
    options.on_event = Some(on_event);
    fixture.store = Some(opened(&options));
    assert!(fixture.is_healthy());
    let marked = fixture.mark_photo(&scope("t"), photo("a", 2, &["p"])).await.unwrap_err();
    assert_eq!((marked.kind(), marked.code()), (ErrorKind::Storage, "store_failed"), "it may have been written");
    assert!(!fixture.is_healthy());
    for _ in 0..3 {
        let refused = fixture.create_group(&scope("t"), group("c")).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Storage, "store_failed"));
    }
    fixture.reopen();
    assert_eq!(fixture.records_on("t", "a", 2).await.len(), 1, "it was written");
    assert!(fixture.is_healthy());
}

/// sled overwrites what lies behind the first place that it cannot read: nothing would be left to salvage.
#[tokio::test]
async fn a_refused_start_leaves_the_log_as_it_is() {
    let store = Damaged::new().await;
    let log = store.original("db").to_vec();
    let used = log.iter().rposition(|&byte| byte != 0).unwrap();
    let mut refused = 0;
    for part in 0..24 {
        let mut damaged = log.clone();
        let from = used * part / 24;
        match part % 4 {
            // Where only what is older than the last flush is cut off, sled alone can tell.
            3 if part < 20 => damaged.truncate(from),
            _ => damaged[from..(from + 3000).min(used)].fill(0),
        }
        // A folder of its own for each, as sled's threads may go on for a moment; and without a snapshot.
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("1");
        fs::create_dir(&folder).unwrap();
        fs::copy(store.folder().join("live"), place.path().join("live")).unwrap();
        for name in store.names().iter().filter(|name| !name.starts_with("snap.")) {
            fs::write(folder.join(name), store.original(name)).unwrap();
        }
        fs::write(folder.join("db"), &damaged).unwrap();
        if let Err(error) = Store::open(StoreOptions::new(place.path())) {
            assert_says_what_to_do(&error, &format!("part {part}"));
            assert!(fs::read(folder.join("db")).unwrap() == damaged, "part {part}: {error:?}");
            refused += 1;
        }
    }
    assert!(refused > 12, "{refused} of 24 starts were refused");
}
