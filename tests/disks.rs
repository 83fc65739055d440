//! Disks that are full, cannot be written or are gone: clear answers, nothing lost, and on it goes when there is room.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{Api, Disk, ServerProcess, eventually, form, portrait};

const MIB: u64 = 1 << 20;
/// Between what the store leaves free and what files beside it do.
const ENOUGH_FOR_THE_STORE: u64 = 48 * MIB;

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
    let server = ServerProcess::start(&disk.data()).await;
    let api = &server.api;
    filled(api).await;
    let photo = portrait("obama3");
    let operator = api.with_key(fs::read_to_string(disk.data().join("operator.key")).unwrap().trim());
    let keep = json!({ "photos": "crops" });
    operator.send(reqwest::Method::PATCH, "/api/v1/tenants/default", &keep).await.expect(200);

    disk.leave_free(ENOUGH_FOR_THE_STORE);
    make_group(api, "h").await.expect(201);
    let zip = crate::support::rosters::zipped(&[("1.jpg", &photo)]);
    let job = form(&[], &[]).part("photos", reqwest::multipart::Part::bytes(zip).file_name("photos.zip"));
    let refused = api.post_form("/api/v1/groups/g/jobs/recognize", job).await;
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
