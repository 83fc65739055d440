//! kill -9 while writing: what was acknowledged is there, whole, and nothing is there in half.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use super::on_sled::{
    audit::followed,
    model::{self, Model},
    *,
};
use crate::store::{
    access::deletion::Removal,
    keys::{self, Parsed, Server},
};

/// Tells the child, which is this very test binary, where to write.
const CHILD_FOLDER: &str = "ROLLCALL_TEST_KILL_FOLDER";
const WRITERS: usize = 4;
/// Of the sequence that is cut short.
const SEED: u64 = 7;

/// The child's part: enrols people until it is killed and says who was acknowledged.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(StoreOptions::new(Path::new(&folder))).unwrap();
        let round = everybody(&store, "t").await.unwrap().len();
        let writers = (0..WRITERS).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    let name = format!("{round}-{writer}-{n}");
                    let faces = vec![sample(&name, 0.1), sample(&name, 0.2)];
                    let groups = ["a".parse().unwrap(), "b".parse().unwrap()];
                    store.create_person(&scope("t"), person(&name), &groups, faces).await.unwrap();
                    println!("acknowledged {name}");
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// Runs `child`, a test of this file, kills it after `count` acknowledgements, and returns all that it printed.
fn acknowledged_before_kill(child: &str, folder: &Path, count: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("store::tests::kill::{child}"), "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut names = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        // A line that the kill cut short is not an acknowledgement: names end with their line.
        let line = String::from_utf8(line.unwrap()).unwrap();
        if let Some((_, name)) = line.split_once("acknowledged ") {
            names.push(name.to_owned());
        }
        if names.len() >= count && !killed {
            // SIGKILL on Unix.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself after {} people", names.len());
    names
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let mut fixture = Fixture::new().await;
    let mut acknowledged = Vec::new();
    for count in [1, 7, 40, 150] {
        fixture.store = None;
        let child = "child_writes_until_it_is_killed";
        acknowledged.extend(acknowledged_before_kill(child, fixture.folder.path(), count));
        fixture.reopen();
        let people = everybody(&fixture, "t").await.unwrap();
        let ids: std::collections::HashSet<_> = people.iter().map(|record| record.person.id.as_str()).collect();
        // The last line may have been cut by the kill, and then names nobody or somebody else.
        let lost: Vec<_> = acknowledged.iter().filter(|name| !ids.contains(name.as_str())).collect();
        assert!(lost.is_empty(), "{} of {} lost", lost.len(), acknowledged.len());
        assert!(
            people.iter().all(|record| record.faces.len() == 2 && record.groups.len() == 2),
            "an enrolment in half"
        );
        assert_eq!(fixture.roster(&scope("t"), &"a".parse().unwrap()).await.unwrap().len(), people.len());
        assert_eq!(fixture.usage(&scope("t")).await.unwrap().samples, 2 * people.len() as u64);
        // Key and groups of the fixture, and everybody.
        assert_eq!(followed(&fixture, &scope("t")).await.unwrap().number, 3 + people.len() as u64);
    }
}

/// The child's part: does the operations of a seed from some one on and says what was acknowledged.
#[test]
fn child_does_a_sequence_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(StoreOptions::new(Path::new(&folder))).unwrap();
        let (done, mut model) =
            (std::fs::read(Path::new(&folder).join("done")).unwrap_or_default().len(), Model::default());
        for (number, operation) in model::operations(SEED).iter().enumerate() {
            if number >= done {
                let _ = model.run(&store, operation).await;
                println!("acknowledged {number}");
            }
            let _ = model.apply(operation);
        }
        // The parent's kill comes before the last operation.
        std::thread::sleep(Duration::from_secs(60));
    });
}

/// After each kill the store is what the plain map is after the operations that were acknowledged, and perhaps the next.
#[tokio::test]
async fn a_sequence_cut_short_by_kill_9_goes_on_as_a_plain_map_does() {
    let mut fixture = Fixture::new().await;
    let operations = model::operations(SEED);
    let (mut model, mut done) = (Model::default(), 0);
    while done + 40 < model::LENGTH {
        fixture.store = None;
        let folder = fixture.folder.path();
        std::fs::write(folder.join("done"), vec![0; done]).unwrap();
        let acknowledged = acknowledged_before_kill("child_does_a_sequence_until_it_is_killed", folder, 25).len();
        fixture.reopen();
        for operation in &operations[done..done + acknowledged] {
            let _ = model.apply(operation);
        }
        done += acknowledged;
        let found = model::stored(&fixture).await;
        if found != model {
            let _ = model.apply(&operations[done]);
            done += 1;
        }
        assert_eq!(found, model, "after {done} operations");
        assert!(fixture.check(|_| None).await.unwrap().is_sound());
    }
}

/// The child's part: deletes the tenant `t`, a few hundred records at a time, and says when some have gone.
#[test]
fn child_deletes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(StoreOptions::new(Path::new(&folder))).unwrap();
        store.begin_deletion(&scope("t")).await.unwrap();
        println!("acknowledged begun");
        while matches!(store.remove_some_of(&scope("t"), now()).await.unwrap(), Removal::Going) {
            println!("acknowledged some");
        }
        // The parent's kill comes before the last record has gone.
        std::thread::sleep(Duration::from_secs(60));
    });
}

#[tokio::test]
async fn a_deletion_cut_short_by_kill_9_goes_on() {
    let mut fixture = Fixture::new().await;
    super::on_sled::deletion::fill(&fixture, 4000).await;
    for count in [1, 3] {
        fixture.store = None;
        acknowledged_before_kill("child_deletes_until_it_is_killed", fixture.folder.path(), count);
        fixture.reopen();
        assert_eq!(fixture.unfinished_deletions().await.unwrap(), [scope("t").tenant().clone()]);
        let left = content(&fixture).len();
        assert!(left > 3 && left < 4100, "{left} records");
        assert_eq!(fixture.tenant(&scope("t")).await.unwrap_err().code(), "tenant_not_found");
        assert!(fixture.check(|_| None).await.unwrap().is_sound());
    }
    fixture.finish_deletion(&scope("t"), now()).await.unwrap();
    let left: Vec<_> = content(&fixture).into_keys().filter_map(|key| keys::parse(&key)).collect();
    let (log, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(super::on_sled::deletion::is_of_servers_log);
    let is_version_or_erasure =
        |key: &Parsed| matches!(key, Parsed::Server(Server::Format | Server::Erasure(_) | Server::Pending(..)));
    assert_eq!((log.len(), rest.len()), (4, 3), "the store's version, the erasure, and that the tenant was there");
    assert!(rest.iter().all(is_version_or_erasure), "{rest:?}");
}
