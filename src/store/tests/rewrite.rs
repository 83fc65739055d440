//! Rewriting the store while it serves: nothing that was acknowledged is lost, nothing that was removed stays.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::StreamExt;
use jiff::{SignedDuration, ToSpan};

use super::{db, on_sled::*};
use crate::{
    domain::{Actor, Realm, Right},
    store::{Backup, Claim, Erasure, KeptAnswer, Uploads},
};

/// Tells the child, which is this very test binary, where to write.
const CHILD_FOLDER: &str = "ROLLCALL_TEST_REWRITE_FOLDER";
/// Ends it at a point of the rewrite.
const CRASH_AT: &str = "ROLLCALL_TEST_CRASH_AT";

fn realm() -> Realm {
    Realm::Tenant("t".parse().unwrap())
}

fn later(minutes: i64) -> Timestamp {
    now().checked_add(minutes.minutes()).unwrap()
}

/// The numbered folders of the store.
fn folders(fixture: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).filter(|name| name.parse::<u64>().is_ok()).collect()
}

/// Whether any file under the folder holds `bytes`.
pub(super) fn is_on_disk(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path: PathBuf| {
        if path.is_dir() {
            is_on_disk(&path, bytes)
        } else {
            fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
        }
    })
}

fn bytes_of(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

async fn erasures(store: &Store) -> Vec<(Erasure, Vec<Backup>)> {
    store.erasures(&realm(), None, 100).await.unwrap()
}

fn claim(n: u8) -> Claim {
    Claim::new(Some(scope("t").tenant()), &[n; 32], move || KeptAnswer { body: [n; 32], at: now(), answer: None })
}

async fn keep(store: &Store, n: u8, body: &str) {
    store.keep_answer(&claim(n), Some((201, body.as_bytes().to_vec()))).await.unwrap();
}

#[tokio::test]
async fn what_was_removed_leaves_the_files_and_all_else_stays() {
    let mut fixture = Fixture::new().await;
    let (p, q) = ("Xanthippe-Quill", "Yggdrasil-Umber");
    let (of_p, of_q) = (sample(p, 0.123_456), sample(q, 0.654_321));
    fixture.enrol(p, &["a"], vec![of_p.clone()]).await.unwrap();
    fixture.enrol(q, &["a"], vec![of_q.clone()]).await.unwrap();
    fixture.mark_photo(&scope("t"), photo("a", 28, &[p, q])).await.unwrap();
    keep(&fixture, 1, &format!("{{\"id\":\"{p}\"}}")).await;
    keep(&fixture, 2, &format!("{{\"id\":\"{q}\"}}")).await;
    keep(&fixture, 3, &format!("{{\"faces\":[\"{}\"]}}", of_p.id)).await;
    fixture.put_snapshot(&scope("t"), vec![7; 200_000].into()).await.unwrap();
    let erasure = fixture.delete_person(&scope("t"), &id(p), later(1)).await.unwrap();
    assert_eq!((&erasure.by, erasure.done_at, erasure.since), (&Actor::Machine, None, now()));
    for (n, is_kept) in [(1, false), (2, true), (3, false)] {
        let kept = fixture.answer(&claim(n)).await.unwrap().unwrap();
        assert_eq!((kept.answer.is_some(), kept.body), (is_kept, [n; 32]), "{n}");
    }
    let traces = |sample: &FaceSample, name: &str| {
        let vector = bytes_of(&sample.vector[..4]);
        [vector, sample.id.as_bytes().to_vec(), name.as_bytes().to_vec(), format!("Person {name}").into_bytes()]
    };
    let path = fixture.folder.path().to_owned();
    assert!(traces(&of_p, p).iter().all(|trace| is_on_disk(&path, trace)), "the database keeps what it removed");
    assert_eq!(erasures(&fixture).await, [(erasure.clone(), vec![])]);
    assert_eq!(fixture.num_pending_erasures().await.unwrap(), 1);

    let before = content(&fixture);
    let done = fixture.rewrite(Uploads::NONE, || later(2)).await.unwrap();
    assert_eq!(done.erasures, 1);
    assert!(traces(&of_p, p).iter().all(|trace| !is_on_disk(&path, trace)));
    assert!(traces(&of_q, q).iter().all(|trace| is_on_disk(&path, trace)));
    assert_eq!((folders(&fixture), fixture.num_pending_erasures().await.unwrap()), (vec!["2".to_owned()], 0));
    assert_eq!(erasures(&fixture).await, [(Erasure { done_at: Some(later(2)), ..erasure.clone() }, vec![])]);
    assert_eq!(fixture.snapshot(&scope("t")).await.unwrap(), None, "made of vectors, and made anew");
    let after = content(&fixture);
    let is_other = |key: &Vec<u8>| {
        use keys::Kind::{Chunk, Erasure, Snapshot};
        let parsed = keys::parse(key).unwrap();
        !matches!(parsed, Parsed::Server(Server::Pending(..)) | Parsed::Data(_, Erasure(_) | Snapshot | Chunk(..)))
    };
    let others = |content: &BTreeMap<Vec<u8>, Vec<u8>>| -> BTreeMap<Vec<u8>, Vec<u8>> {
        content.clone().into_iter().filter(|(key, _)| is_other(key)).collect()
    };
    assert_eq!(others(&after), others(&before));
    // It takes writes, opens again, and can be rewritten again.
    fixture.enrol("new", &["a"], vec![sample("new", 0.3)]).await.unwrap();
    fixture.reopen();
    fixture.rewrite(Uploads::NONE, now).await.unwrap();
    fixture.reopen();
    assert_eq!(folders(&fixture), ["3"]);
    let report = fixture.check(|_| None).await.unwrap();
    assert!(report.is_sound() && report.counts_compared, "{report:?}");
    assert_eq!((report.records["person"], report.records["erasure"]), (2, 1));
}

#[tokio::test]
async fn an_answer_in_the_making_is_not_kept_over_an_erasure() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &[], vec![]).await.unwrap();
    let (claim, other) = (claim(1), claim(2));
    assert_eq!(fixture.answer(&claim).await.unwrap(), None);
    fixture.delete_person(&scope("t"), &id("p"), now()).await.unwrap();
    assert_eq!(fixture.answer(&other).await.unwrap(), None);
    for (claim, is_kept) in [(&claim, false), (&other, true)] {
        fixture.keep_answer(claim, Some((201, b"{\"id\":\"p\"}".to_vec()))).await.unwrap();
        assert_eq!(fixture.answer(claim).await.unwrap().unwrap().answer.is_some(), is_kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_acknowledged_while_the_store_is_rewritten_is_there() {
    let mut fixture = Fixture::new().await;
    super::on_sled::deletion::fill(&fixture, 3000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, stop) = ((*fixture).clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("w{writer}-{count}");
                    let faces = vec![sample(&name, 0.1)];
                    store.create_person(&scope("t"), person(&name), &["a".parse().unwrap()], faces).await.unwrap();
                    // Read at once, from whichever database is live.
                    assert_eq!(store.person(&scope("t"), &id(&name)).await.unwrap().faces.len(), 1);
                    if count > 0 {
                        let gone = format!("w{writer}-{}", count - 1);
                        store.delete_person(&scope("t"), &id(&gone), now()).await.unwrap();
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    for _ in 0..4 {
        fixture.rewrite(Uploads::NONE, now).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut expected = Vec::new();
    let mut erased = 0;
    for (writer, task) in writers.into_iter().enumerate() {
        let count = task.await.unwrap();
        assert!(count > 0);
        expected.push(format!("w{writer}-{}", count - 1));
        erased += count - 1;
    }
    for _ in 0..2 {
        let left = everybody(&fixture, "t").await.unwrap();
        let mut left: Vec<&str> = ids(&left).into_iter().filter(|name| name.starts_with('w')).collect();
        left.sort_unstable();
        assert_eq!(left, expected);
        assert_eq!(fixture.erasures(&realm(), None, usize::MAX).await.unwrap().len(), erased);
        assert_eq!(fixture.usage(&scope("t")).await.unwrap().samples, 4);
        let report = fixture.check(|_| None).await.unwrap();
        let problems: Vec<_> = report.problems.keys().filter(|code| *code != "no_place").collect();
        assert!(problems.is_empty() && report.counts_compared, "{report:?}");
        fixture.reopen();
    }
}

#[tokio::test]
async fn whoever_reads_the_old_database_reads_on_and_it_goes_after_them() {
    let fixture = Fixture::new().await;
    fixture.enrol("p", &[], vec![]).await.unwrap();
    let old = db(&fixture);
    let store = (*fixture).clone();
    let rewrite = tokio::spawn(async move { store.rewrite(Uploads::NONE, now).await });
    while Arc::ptr_eq(&old, &db(&fixture)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.enrol("q", &[], vec![]).await.unwrap();
    let seen = |db: &dyn crate::store::engine::Readable| {
        db.view().unwrap().scan_keys(&keys::people(scope("t").tenant())).count()
    };
    assert_eq!((seen(&*old), seen(&*db(&fixture))), (1, 2));
    assert_eq!(fixture.rewrite(Uploads::NONE, now).await.unwrap_err().code(), "rewrite_running");
    assert!(folders(&fixture).contains(&"1".to_owned()) && !rewrite.is_finished());
    drop(old);
    rewrite.await.unwrap().unwrap();
    assert_eq!(folders(&fixture), ["2"]);
}

#[tokio::test]
async fn a_backup_and_a_rewrite_keep_out_of_each_others_way() {
    let fixture = Fixture::new().await;
    super::on_sled::deletion::fill(&fixture, 3000).await;
    let stream = fixture.backup(&Right::of_machine(), None, now).await.unwrap();
    assert_eq!(fixture.rewrite(Uploads::NONE, now).await.unwrap_err().code(), "backup_running");
    drop(stream);
    {
        let _turn = fixture.inner.rewriting.lock().await;
        let mut watch = None;
        while watch.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            watch = db(&fixture).watch();
        }
        assert_eq!(fixture.backup(&Right::of_machine(), None, now).await.err().unwrap().code(), "rewrite_running");
    }
    fixture.rewrite(Uploads::NONE, now).await.unwrap();
    let pieces: Vec<_> = fixture.backup(&Right::of_machine(), None, now).await.unwrap().collect().await;
    assert!(pieces.iter().all(Result::is_ok));
}

#[tokio::test]
async fn the_store_is_rewritten_when_an_erasure_has_waited_long_enough() {
    let fixture = Fixture::new().await;
    let due = async |minutes| {
        fixture
            .rewrite_if_due(SignedDuration::from_mins(60), Uploads::NONE, || later(minutes))
            .await
            .unwrap()
            .map(|done| done.erasures)
    };
    assert_eq!(due(1000).await, None, "nothing is pending");
    for (name, minutes) in [("p", 0), ("q", 50)] {
        fixture.enrol(name, &[], vec![]).await.unwrap();
        fixture.delete_person(&scope("t"), &id(name), later(minutes)).await.unwrap();
    }
    assert_eq!(due(59).await, None);
    assert_eq!(due(60).await, Some(2));
    assert_eq!(due(1000).await, None);
}

#[tokio::test]
async fn an_erasure_is_pending_while_files_of_an_earlier_job_are_there() {
    let fixture = Fixture::new().await;
    for (name, minutes) in [("p", 10), ("q", 20)] {
        fixture.enrol(name, &[], vec![]).await.unwrap();
        fixture.delete_person(&scope("t"), &id(name), later(minutes)).await.unwrap();
    }
    let uploads =
        |tenant: &str, minutes| Uploads { first: [(tenant.parse().unwrap(), later(minutes))].into(), ..Uploads::NONE };
    let due = async |uploads: Uploads| {
        let done = fixture.rewrite_if_due(SignedDuration::ZERO, uploads, || later(60)).await.unwrap();
        (done.map(|done| done.erasures), fixture.num_pending_erasures().await.unwrap())
    };
    assert_eq!(due(uploads("t", 9)).await, (None, 2), "nothing is done in vain");
    let before = Uploads { as_of: later(5), ..Uploads::NONE };
    assert_eq!(due(before).await, (None, 2), "what was handed in since, and erased, is not known");
    assert_eq!(due(uploads("t", 20)).await, (Some(1), 1), "what is handed in later is no matter of the erasure");
    assert_eq!(due(uploads("other", 9)).await, (Some(1), 0));
}

#[tokio::test]
async fn an_erasure_names_the_backups_that_may_hold_it_until_they_are_struck_off() {
    let fixture = Fixture::new().await;
    let copy = async |begun: i64, ended: i64| {
        let times = Mutex::new(vec![later(ended), later(begun)]);
        let mut stream =
            fixture.backup(&Right::of_machine(), None, move || times.lock().unwrap().pop().unwrap()).await.unwrap();
        while stream.next().await.is_some() {}
        fixture.backups(None, 100).await.unwrap().pop().unwrap()
    };
    let before = copy(1, 2).await;
    assert_eq!((before.begun_at, before.ended_at), (later(1), Some(later(2))));
    let during = copy(3, 6).await;
    let created = Person { created_at: later(5), ..person("p") };
    fixture.create_person(&scope("t"), created, &[], vec![]).await.unwrap();
    let between = copy(7, 8).await;
    fixture.delete_person(&scope("t"), &id("p"), later(9)).await.unwrap();
    let after = copy(10, 11).await;
    let listed = async || erasures(&fixture).await.remove(0).1;
    assert_eq!(listed().await, [during.clone(), between.clone()]);
    fixture.rewrite(Uploads::NONE, now).await.unwrap();
    fixture.strike_backup(&Right::of_machine(), between.id).await.unwrap();
    assert_eq!(fixture.strike_backup(&Right::of_machine(), between.id).await.unwrap_err().code(), "backup_not_found");
    assert_eq!(listed().await, std::slice::from_ref(&during));
    assert_eq!(fixture.backups(Some(before.id), 100).await.unwrap(), [during.clone(), after.clone()]);

    // A tenant's own erasures go with it; its own is the server's.
    fixture.begin_deletion(&scope("t")).await.unwrap();
    let erasure = fixture.finish_deletion(&scope("t"), later(20)).await.unwrap().unwrap();
    assert_eq!(erasures(&fixture).await, []);
    let of_server = fixture.erasures(&Realm::Server, None, 100).await.unwrap();
    assert_eq!(of_server, [(erasure, vec![before, during, after])]);
    assert_eq!(fixture.rewrite(Uploads::NONE, now).await.unwrap().erasures, 1);
    assert!(fixture.check(|_| None).await.unwrap().is_sound());
}

/// The child's part: enrols people and rewrites the store until it is ended.
#[test]
fn child_rewrites_until_it_is_ended() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(StoreOptions::new(Path::new(&folder))).unwrap();
        let round = everybody(&store, "t").await.unwrap().len();
        let writers = (0..3).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let name = format!("{round}-{writer}-{n}");
                    let faces = vec![sample(&name, 0.1), sample(&name, 0.2)];
                    store.create_person(&scope("t"), person(&name), &["a".parse().unwrap()], faces).await.unwrap();
                    println!("acknowledged {name} end");
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        loop {
            store.rewrite(Uploads::NONE, now).await.unwrap();
            println!("acknowledged rewrite end");
            assert!(writers.iter().all(|writer| !writer.is_finished()));
        }
    });
}

/// Runs the child until it ends at `point`, or is killed after so many acknowledged rewrites; those acknowledged.
fn acknowledged(folder: &Path, point: &str, rewrites: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::rewrite::child_rewrites_until_it_is_ended", "--nocapture"])
        .envs([(CHILD_FOLDER, folder.to_str().unwrap()), (CRASH_AT, point)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut names, mut seen) = (Vec::new(), 0);
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        // A line that the end cut short is no acknowledgement.
        let Some(name) = line.split_once("acknowledged ").and_then(|(_, rest)| rest.strip_suffix(" end")) else {
            continue;
        };
        if name == "rewrite" {
            seen += 1;
        } else {
            names.push(name.to_owned());
        }
        if seen == rewrites && point.is_empty() {
            // SIGKILL on Unix; another rewrite is under way.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    names
}

#[tokio::test]
async fn an_end_at_any_point_leaves_the_old_store_or_the_new_one_whole() {
    let mut fixture = Fixture::new().await;
    super::on_sled::deletion::fill(&fixture, 5000).await;
    let mut all = Vec::new();
    for (point, rewrites) in [("copying", 0), ("copied", 0), ("switched", 0), ("", 1), ("", 2)] {
        fixture.store = None;
        all.extend(acknowledged(fixture.folder.path(), point, rewrites));
        fixture.reopen();
        assert_eq!(folders(&fixture).len(), 1, "{point}");
        let people = everybody(&fixture, "t").await.unwrap();
        let found: std::collections::HashMap<_, _> =
            people.iter().map(|record| (record.person.id.as_str(), record.faces.len())).collect();
        let lost: Vec<_> = all.iter().filter(|name| found.get(name.as_str()) != Some(&2)).collect();
        assert!(lost.is_empty(), "{point}: {} of {} lost", lost.len(), all.len());
    }
    assert!(!all.is_empty());
    fixture.rewrite(Uploads::NONE, now).await.unwrap();
    assert_eq!(folders(&fixture).len(), 1);
}
