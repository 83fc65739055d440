//! Disks that are full, cannot be written or are gone: clear answers, nothing lost, and on it goes when there is room.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{Api, Disk, ServerProcess, eventually, form, portrait, raw::Raw, rosters::zipped};

const MIB: u64 = 1 << 20;
/// Between what the store leaves free and what files beside it do.
const ENOUGH_FOR_THE_STORE: u64 = 48 * MIB;
/// What files of jobs leave free here, and the setting of it.
const SPOOLS_LEAVE: u64 = 100_000_000;
const RESERVE: (&str, &str) = ("ROLLCALL__JOBS__DISK_RESERVE_BYTES", "100000000");
const JOB: &str = "/api/v1/groups/g/jobs/recognize";

fn rollcall(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.arg("--data").arg(data).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

async fn ready(api: &Api) -> (u16, Value) {
    let answer = api.get("/health/ready").await;
    (answer.status, answer.json())
}

async fn filled(api: &Api) {
    api.group("g").await;
    for name in ["obama", "biden"] {
        api.enrol(name, &["g"], name).await;
    }
}

async fn make_group(api: &Api, id: &str) -> crate::support::Answer {
    api.post("/api/v1/groups", &json!({ "id": id, "name": id })).await
}

#[tokio::test]
async fn on_a_full_disk_reads_go_on_and_writes_as_soon_as_there_is_room() {
    let Some(disk) = Disk::make(256 * MIB, "on_a_full_disk_reads_go_on_and_writes_as_soon_as_there_is_room") else {
        return;
    };
    let server = ServerProcess::with(&disk.data(), &[RESERVE]).await;
    let api = &server.api;
    filled(api).await;
    let photo = portrait("obama3");
    let operator = api.with_key(fs::read_to_string(disk.data().join("operator.key")).unwrap().trim());
    let keep = json!({ "photos": "crops" });
    operator.send(reqwest::Method::PATCH, "/api/v1/tenants/default", &keep).await.expect(200);

    disk.leave_free(ENOUGH_FOR_THE_STORE);
    make_group(api, "h").await.expect(201);
    let refused = api.post_form(JOB, photos()).await;
    assert_eq!(refused.problem(), (507, "disk_full".to_owned()), "files beside the store go first");
    let kept = api.post_form("/api/v1/people", form(&[("id", "kept"), ("name", "k")], &[&photo])).await;
    assert_eq!(kept.problem(), (507, "disk_full".to_owned()));
    assert_eq!(api.get("/api/v1/people/kept").await.status, 404, "no sample without its photo");

    disk.leave_free(MIB);
    for _ in 0..3 {
        let refused = make_group(api, "i").await;
        assert_eq!(refused.problem(), (507, "disk_full".to_owned()));
        assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    }
    assert_eq!(api.recognize("g", &[], &[&photo]).await.problem(), (507, "disk_full".to_owned()), "a mark is a write");
    let seen = api.recognize("g", &[("mark", "false")], &[&photo]).await.expect(200);
    assert_eq!(seen["present"][0]["person"], "obama");
    assert_eq!(api.get("/api/v1/people").await.expect(200)["people"].as_array().unwrap().len(), 2);
    let (status, report) = ready(api).await;
    assert_eq!((status, &report["store_writes"]), (200, &json!(false)), "it serves, and says what it does not");

    disk.empty();
    make_group(api, "i").await.expect(201);
    assert_eq!(ready(api).await.1["store_writes"], true);
    assert_eq!(api.recognize("g", &[], &[&photo]).await.expect(200)["present"][0]["attendance"], "marked");
    api.post_form("/api/v1/people", form(&[("id", "kept"), ("name", "k")], &[&photo])).await.expect(201);
}

fn photos() -> reqwest::multipart::Form {
    let zip = zipped(&[("1.jpg", &portrait("obama2"))]);
    form(&[], &[]).part("photos", reqwest::multipart::Part::bytes(zip).file_name("photos.zip"))
}

/// An upload that goes on until it is refused.
struct Upload(Raw);

impl Upload {
    /// Sends the beginning of a ZIP file and so many bytes of it.
    fn begin(api: &Api, bytes: u64) -> Self {
        let mut raw = Raw::post(api, JOB, "multipart/form-data; boundary=x", "Transfer-Encoding: chunked");
        let part = "--x\r\nContent-Disposition: form-data; name=\"photos\"; filename=\"photos.zip\"\r\n\r\n";
        assert!(raw.chunk(part.as_bytes()));
        let piece = vec![0; MIB as usize];
        assert!((0..bytes / MIB).all(|_| raw.chunk(&piece)));
        Self(raw)
    }

    /// Goes on in small pieces; the answer.
    fn until_refused(mut self) -> String {
        assert!(self.0.trickle(|raw| raw.chunk(&[0; 16 << 10])));
        self.0.answer()
    }
}

/// Files of jobs may hold 24 MiB here, those of one tenant 12 MiB.
#[tokio::test]
async fn an_upload_ends_before_the_disk_is_full_for_others_and_leaves_nothing() {
    let test = "an_upload_ends_before_the_disk_is_full_for_others_and_leaves_nothing";
    let Some(disk) = Disk::make(256 * MIB, test) else { return };
    let (share, idle) = (("ROLLCALL__JOBS__TENANT_SHARE", "0.5"), ("ROLLCALL__LIMITS__BODY_IDLE_SECONDS", "300"));
    let server = ServerProcess::with(&disk.data(), &[RESERVE, share, idle]).await;
    let api = &server.api;
    filled(api).await;
    let operator = api.with_key(fs::read_to_string(disk.data().join("operator.key")).unwrap().trim());
    operator.send(reqwest::Method::PATCH, "/api/v1/tenants/default", &json!({ "photos": "crops" })).await.expect(200);
    let mut others = Vec::new();
    for id in ["second", "third"] {
        let made = operator.post("/api/v1/tenants", &json!({ "id": id, "name": id })).await.expect(201);
        others.push(api.with_key(made["key"].as_str().unwrap()));
        others.last().unwrap().group("g").await;
    }
    let num_spooled = || fs::read_dir(disk.data().join("spool")).map_or(0, Iterator::count);
    disk.leave_free(SPOOLS_LEAVE + 24 * MIB);

    let announced = Raw::post(api, JOB, "multipart/form-data; boundary=x", "Content-Length: 200000000").answer();
    assert!(announced.starts_with("HTTP/1.1 507 ") && announced.contains("\"disk_full\""), "{announced}");
    let over_its_share = Upload::begin(api, 10 * MIB).until_refused();
    assert!(over_its_share.starts_with("HTTP/1.1 507 "), "{over_its_share}");
    assert!(over_its_share.contains("\"job_files_full\"") && over_its_share.contains("cancel"), "{over_its_share}");
    eventually("what they wrote is gone", async || num_spooled() == 0).await;
    assert!(disk.free_bytes() > SPOOLS_LEAVE + 20 * MIB);

    let held = [Upload::begin(api, 10 * MIB), Upload::begin(&others[0], 10 * MIB)];
    eventually("most of the room is taken", async || disk.free_bytes() < SPOOLS_LEAVE + 5 * MIB).await;
    let refused = Upload::begin(&others[1], 2 * MIB).until_refused();
    assert!(refused.starts_with("HTTP/1.1 507 ") && refused.contains("\"disk_full\""), "{refused}");
    eventually("its files are gone", async || num_spooled() == 2).await;
    disk.leave_free(SPOOLS_LEAVE);
    assert_eq!(others[1].post_form(JOB, photos()).await.problem(), (507, "disk_full".to_owned()));
    let kept = form(&[("id", "kept"), ("name", "k")], &[&portrait("obama3")]);
    api.post_form("/api/v1/people", kept).await.expect(201);
    make_group(&others[1], "more").await.expect(201);

    drop(held);
    eventually("those that were cut are gone", async || num_spooled() == 0).await;
    others[1].post_form(JOB, photos()).await.expect(202);
}

#[tokio::test]
async fn a_start_on_a_full_disk_uses_the_reserve_and_it_is_made_again() {
    let test = "a_start_on_a_full_disk_uses_the_reserve_and_it_is_made_again";
    let Some(disk) = Disk::make(256 * MIB, test) else { return };
    let reserve = disk.data().join("store/reserve");
    let is_whole = || fs::metadata(&reserve).is_ok_and(|reserve| reserve.len() == 8 * MIB);
    for round in 0..3 {
        let server = ServerProcess::start(&disk.data()).await;
        if round == 0 {
            filled(&server.api).await;
        }
        make_group(&server.api, &format!("r-{round}")).await.expect(201);
        assert!(is_whole(), "round {round}");
        server.kill();
        disk.leave_free(0);
        let server = ServerProcess::start(&disk.data()).await;
        assert!(!reserve.exists(), "round {round}");
        let groups = server.api.get("/api/v1/groups").await.expect(200);
        assert_eq!(groups["groups"].as_array().unwrap().len(), 2 + round);
        assert_eq!(make_group(&server.api, "no").await.problem(), (507, "disk_full".to_owned()));
        if round == 0 {
            server.kill();
            disk.empty();
            // As a start leaves it that is killed while it makes it.
            fs::write(&reserve, "").unwrap();
            continue;
        }
        // With room again it is there again while the server runs: the next full disk keeps nobody from starting.
        disk.empty();
        eventually("the reserve is made again", async || is_whole()).await;
        disk.leave_free(0);
        server.kill();
        ServerProcess::start(&disk.data()).await.kill();
        disk.empty();
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_read_from_a_copy() {
    let Some(disk) = Disk::make(256 * MIB, "a_folder_that_cannot_be_written_is_read_from_a_copy") else { return };
    let server = ServerProcess::start(&disk.data()).await;
    filled(&server.api).await;
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().to_str().unwrap();
    let backup = scratch.path().join("backup");
    let commands: [&[&str]; 3] = [&["check"], &["backup", backup.to_str().unwrap()], &["audit", "verify"]];
    server.kill();
    disk.make_read_only();
    for command in commands {
        let output = rollcall(&disk.data(), command);
        assert!(!output.status.success() && text(&output).contains("--scratch"), "{command:?}: {}", text(&output));
        let output = rollcall(&disk.data(), &[command, &["--scratch", folder]].concat());
        assert!(output.status.success(), "{command:?}: {}", text(&output));
    }
    assert!(rollcall::store::verify_backup(fs::File::open(&backup).unwrap()).unwrap() > 5);
    let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["backup"], "the copies are gone");
}

#[tokio::test]
async fn a_data_folder_that_is_gone_is_told_and_nothing_is_written_into_the_void() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let server = ServerProcess::start(&data).await;
    filled(&server.api).await;
    assert_eq!(ready(&server.api).await.0, 200);
    fs::rename(&data, folder.path().join("elsewhere")).unwrap();
    assert_eq!(ready(&server.api).await.0, 503);
    assert_eq!(make_group(&server.api, "no").await.problem(), (503, "store_gone".to_owned()));
    fs::rename(folder.path().join("elsewhere"), &data).unwrap();
    eventually("it is ready again", async || ready(&server.api).await.0 == 200).await;
    make_group(&server.api, "yes").await.expect(201);
}

#[tokio::test]
async fn a_store_that_is_missing_beside_its_photos_and_keys_is_no_first_start() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(data.path()).await;
    filled(&server.api).await;
    server.kill();
    let key = fs::read(data.path().join("default.key")).unwrap();
    let away = tempfile::tempdir().unwrap();
    fs::rename(data.path().join("store"), away.path().join("store")).unwrap();
    let refused = ServerProcess::fail_on(data.path());
    assert!(!refused.status.success() && text(&refused).contains("no store"), "{}", text(&refused));
    assert_eq!(fs::read(data.path().join("default.key")).unwrap(), key);
    fs::rename(away.path().join("store"), data.path().join("store")).unwrap();
    let server = ServerProcess::start(data.path()).await;
    assert_eq!(server.api.get("/api/v1/people").await.expect(200)["people"].as_array().unwrap().len(), 2);
}
