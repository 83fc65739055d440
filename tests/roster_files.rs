//! Rosters as people have them: written by any program, with any headings, and once a year for a whole school.

use std::collections::BTreeSet;

use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::support::{Api, TestServer, portrait, rosters::zipped};

/// Takes a file in; the job, and all its reports.
async fn taken_in(api: &Api, file: &[u8], fields: &[(&str, &str)]) -> (Value, Vec<Value>) {
    let begun = api.import(file, None, fields).await.expect(202);
    let id = begun["id"].as_str().unwrap().to_owned();
    let over = api.job_over(&id).await;
    assert_eq!(over["state"], "done", "{over}");
    (over, api.results(&id).await)
}

fn column(results: &[Value], name: &str) -> Vec<Value> {
    results.iter().map(|row| row[name].clone()).collect()
}

async fn groups_of(api: &Api, person: &str) -> Value {
    api.get(&format!("/api/v1/people/{person}")).await.expect(200)["groups"].clone()
}

async fn roster_of(api: &Api, group: &str) -> Value {
    api.get(&format!("/api/v1/groups/{group}")).await.expect(200)["people"].clone()
}

#[tokio::test]
async fn every_line_of_every_kind_of_file_is_in_the_report() {
    let server = TestServer::start().await;
    let api = &server.api;
    let utf_16 =
        "\u{feff}id\tName\r\nu1\tZoë\r\n\r\nu2\t李小明\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for (row, cells) in [(0, ["Schüler-Nr.", "Name"]), (1, ["x1", "Zoë"]), (3, ["x2", "李小明"])] {
        sheet.write_row(row, 0, cells).unwrap();
    }
    let files: [(&str, Vec<u8>, &str, &[u64]); 7] = [
        ("lines that end with CR", b"id,name\rs1,Ann\rs2,Bob\r".to_vec(), "UTF-8", &[2, 3]),
        (
            "a cell of two lines",
            b"id,name,address\r\nq1,Ann,\"Main St 1\r\n1010 Wien\"\r\nq2,Bob,x\r\n".to_vec(),
            "UTF-8",
            &[2, 4],
        ),
        ("an announced delimiter", b"sep=;\r\nid;name\r\n\r\nt1;\"A;B\"\r\nt2;C".to_vec(), "UTF-8", &[4, 5]),
        ("UTF-16 and tabs", utf_16, "UTF-16LE", &[2, 4]),
        ("Windows-1252", b"Matrikelnr;Nachname;Vorname\r\nw1;M\xfcller;J\xf6rg\r\n".to_vec(), "windows-1252", &[2]),
        ("Macintosh", b"id;name\rm1;M\x9fller\r".to_vec(), "macintosh", &[2]),
        ("a workbook", workbook.save_to_buffer().unwrap(), "xlsx", &[2, 4]),
    ];
    for (what, file, encoding, lines) in files {
        let (job, results) = taken_in(api, &file, &[]).await;
        assert_eq!(job["encoding"], encoding, "{what}");
        assert_eq!(column(&results, "line"), lines.iter().map(|line| json!(line)).collect::<Vec<_>>(), "{what}");
        let counts =
            ["created", "updated", "unchanged", "failed"].map(|name| job["counts"][name].as_u64().unwrap_or(0));
        assert_eq!(
            (counts.iter().sum::<u64>(), counts[0]),
            (job["total"].as_u64().unwrap(), lines.len() as u64),
            "{what}"
        );
    }
    for (person, name) in [("t1", "A;B"), ("u1", "Zoë"), ("u2", "李小明"), ("w1", "Jörg Müller"), ("m1", "Müller")]
    {
        assert_eq!(api.get(&format!("/api/v1/people/{person}")).await.expect(200)["name"], name);
    }
    assert_eq!(
        api.get("/api/v1/people/q1").await.expect(200)["metadata"],
        json!({ "address": "Main St 1\n1010 Wien" })
    );
    let open = b"id,name,size\r\nq1,Ann,\"19\r\nq2,Bob,\"20\r\nq3,Cid,\"21\r\nq4,Dee,\"22\r\nq5,Eve,x\r\n";
    let refused = api.import(open, None, &[]).await;
    assert_eq!(refused.problem(), (400, "invalid_csv".to_owned()));
    assert!(refused.text().contains("line 2: a quote opens"), "{}", refused.text());
}

/// A file as some program may write it, and the lines on which its rows begin.
#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    lines: Vec<u64>,
}

/// Files with good rows and rows of every kind that fails: of the same person again, with ids and names that are none, with
/// a group that is not there, and longer than the header.
fn written() -> impl Strategy<Value = Written> {
    let row = (
        select(vec!["a", "b", "c", "d", "b?d", ""]),
        select(vec!["", "Ann", "Zoë", "two\nlines", "the \"one\"", "x;y,z\t1"]),
        select(vec!["", "7b", "8c", "7b|8c", "7b|nowhere"]),
        prop::bool::weighted(0.1),
        0..3_usize,
    );
    let rows = prop::collection::vec(row, 0..9);
    let style = (select(vec![",", ";", "\t"]), select(vec!["\n", "\r\n", "\r"]), 0..4_u8);
    (rows, style).prop_map(|(rows, (delimiter, line_end, encoding))| {
        let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
        let (mut text, mut lines, mut line) = (["id", "name", "groups"].join(delimiter) + "\n", Vec::new(), 2);
        for (id, name, groups, is_long, num_blank) in rows {
            let mut fields = vec![quoted(id), quoted(name), quoted(groups)];
            fields.extend(is_long.then(|| "more".to_owned()));
            if is_long || [id, name, groups].iter().any(|field| !field.is_empty()) {
                lines.push(line);
            }
            let row = fields.join(delimiter) + &"\n".repeat(1 + num_blank);
            line += row.matches('\n').count() as u64;
            text += &row;
        }
        let text = text.replace('\n', line_end);
        let bytes = match encoding {
            0 => text.into_bytes(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            // ISO 8859-1, of which every character here is one of Windows-1252.
            _ => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        };
        Written { bytes, lines }
    })
}

#[tokio::test]
async fn every_row_is_made_changed_unchanged_or_failed_and_in_the_report() {
    let server = TestServer::start().await;
    let api = &server.api;
    for group in ["7b", "8c"] {
        api.group(group).await;
    }
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeSet::new();
    for leavers in ["keep", "report", "remove"].into_iter().cycle().take(30) {
        let file = written().new_tree(&mut runner).unwrap().current();
        let told = format!("{leavers} {:?}", String::from_utf8_lossy(&file.bytes));
        let (job, results) = taken_in(api, &file.bytes, &[("groups", "replace"), ("leavers", leavers)]).await;
        let lines: Vec<u64> =
            results.iter().map(|row| row["line"].as_u64().unwrap()).filter(|&line| line > 0).collect();
        assert_eq!(lines, file.lines, "{told}");
        assert!(leavers != "keep" || lines.len() == results.len(), "{told}");
        let counts =
            ["created", "updated", "unchanged", "failed"].map(|name| job["counts"][name].as_u64().unwrap_or(0));
        let total = results.len() as u64;
        assert_eq!(
            (counts.iter().sum::<u64>(), &job["total"], &job["done"]),
            (total, &json!(total), &json!(total)),
            "{told}"
        );
        let failed: u64 = job["failed"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(failed, counts[3], "{told}");
        met.extend(results.iter().map(|row| row["outcome"].as_str().unwrap().to_owned()));
    }
    assert_eq!(met.len(), 4, "{met:?}");
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn headings_are_understood_and_what_is_metadata_is_told() {
    let server = TestServer::start().await;
    let api = &server.api;
    let file = "Schüler-Nr.;Nachname;Vorname;E-Mail;Haus\n1;Müller;Jürgen;j@x.example;Süd\n";
    let (job, results) = taken_in(api, file.as_bytes(), &[]).await;
    let meanings: Vec<(&str, &str)> = job["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["heading"].as_str().unwrap(), column["meaning"].as_str().unwrap()))
        .collect();
    let expected = [
        ("Schüler-Nr.", "id"),
        ("Nachname", "family_name"),
        ("Vorname", "given_name"),
        ("E-Mail", "email"),
        ("Haus", "metadata"),
    ];
    assert_eq!(meanings, expected);
    assert_eq!(column(&results, "name"), [json!("Jürgen Müller")]);
    let person = api.get("/api/v1/people/1").await.expect(200);
    assert_eq!((&person["email"], &person["metadata"]), (&json!("j@x.example"), &json!({ "Haus": "Süd" })));
    // The name is shown as long as the person is there, and is that of the moment.
    let id = job["id"].as_str().unwrap();
    api.send(Method::PATCH, "/api/v1/people/1", &json!({ "name": "Jürgen Maier" })).await.expect(200);
    assert_eq!(column(&api.results(id).await, "name"), [json!("Jürgen Maier")]);
    let table = api.get(&format!("/api/v1/jobs/{id}/results?format=csv")).await.text();
    assert!(table.contains("Jürgen Maier"), "{table}");
    api.delete("/api/v1/people/1").await.expect(204);
    assert!(api.results(id).await.is_empty());
    assert!(!api.get(&format!("/api/v1/jobs/{id}/results?format=csv")).await.text().contains("Maier"));
}

#[tokio::test]
async fn a_missing_group_is_named_and_made_where_that_is_asked_for() {
    let server = TestServer::start().await;
    let api = &server.api;
    let patch = json!({ "time_zone": "Europe/Vienna" });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &patch).await.expect(200);
    let file = b"id,name,Klasse\na,A,7b\nb,B,7b|8c\n";
    let (_, results) = taken_in(api, file, &[]).await;
    assert_eq!(results[0]["error"]["code"], "group_not_found");
    assert!(results[0]["error"]["message"].as_str().unwrap().contains("7b"), "{}", results[0]);
    let create = ("create_groups", "true");
    let (_, tried) = taken_in(api, file, &[create, ("dry_run", "true")]).await;
    assert_eq!(column(&tried, "groups_made"), [json!(["7b"]), json!(["7b", "8c"])], "each row would make them");
    assert_eq!(api.get("/api/v1/groups").await.expect(200)["groups"], json!([]));
    let (job, results) = taken_in(api, file, &[create]).await;
    assert_eq!(job["counts"]["created"], 2, "{results:?}");
    let made: usize = results.iter().map(|row| row["groups_made"].as_array().unwrap().len()).sum();
    assert_eq!((made, roster_of(api, "7b").await), (2, json!(["a", "b"])));
    assert_eq!(api.get("/api/v1/groups/8c").await.expect(200)["time_zone"], "Europe/Vienna");
    let (again, _) = taken_in(api, file, &[create]).await;
    assert_eq!(again["counts"]["unchanged"], 2);
    let since = "id;Klasse;In der Klasse seit\nb;7b;1.9.2026\n".as_bytes();
    for outcome in ["updated", "unchanged"] {
        let (job, results) = taken_in(api, since, &[]).await;
        assert_eq!(
            (&results[0]["outcome"], &job["columns"][2]["meaning"]),
            (&json!(outcome), &json!("on_roster_since"))
        );
    }
    // A whole file says it once, where its rows do not.
    let file = "id;name;Klasse;In der Klasse seit\nb;;7b;\nc;C;7b;\nd;D;7b;1.10.2026\n".as_bytes();
    let (job, _) = taken_in(api, file, &[("on_roster_since", "2026-09-15")]).await;
    assert_eq!(job["counts"]["unchanged"], 1, "who is on it already has been since they have been");
    let roster = api.get("/api/v1/groups/7b/people").await.expect(200);
    let since = |member: usize| roster["people"][member]["periods"][0]["since"].as_str().unwrap();
    let expected = ["2026-08-31T22:00:00Z", "2026-09-14T22:00:00Z", "2026-09-30T22:00:00Z"];
    assert_eq!([1, 2, 3].map(since), expected, "the day begins where the group is");
    let refused = api.import(file, None, &[("on_roster_since", "09/01/2026")]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_new_school_year_moves_everybody_and_tells_of_leavers() {
    let server = TestServer::start().await;
    let api = &server.api;
    let last_year = b"id,name,groups\nada,Ada,7b|choir\nbea,Bea,8b\ncid,Cid,8b|choir\n";
    taken_in(api, last_year, &[("create_groups", "true")]).await;
    // Ada goes up, Bea and Cid have left, Dee is new, and the choir is not in the file.
    let this_year = b"id,name,groups\nada,Ada,8b\ndee,Dee,7b\n";
    let replace = ("groups", "replace");
    let (job, tried) = taken_in(api, this_year, &[replace, ("leavers", "remove"), ("dry_run", "true")]).await;
    assert_eq!(column(&tried, "outcome"), ["updated", "created", "updated", "updated"]);
    assert_eq!(column(&tried, "left"), [json!(["7b", "choir"]), json!([]), json!(["8b"]), json!(["8b"])]);
    assert_eq!(column(&tried, "line"), [2, 3, 0, 0]);
    assert_eq!(column(&tried, "id"), [json!("ada"), json!(null), json!("bea"), json!("cid")]);
    assert_eq!((&job["total"], &job["done"], &job["counts"]["groups_left"]), (&json!(4), &json!(4), &json!(4)));
    assert_eq!(groups_of(api, "ada").await, json!(["7b", "choir"]), "nothing is stored");

    let (_, reported) = taken_in(api, this_year, &[("leavers", "report")]).await;
    assert_eq!(column(&reported, "outcome")[2..], ["unchanged", "unchanged"]);
    assert_eq!(column(&reported, "name")[2..], ["Bea", "Cid"]);
    assert_eq!(groups_of(api, "ada").await, json!(["7b", "8b", "choir"]), "groups are joined unless that is asked for");

    let failing = b"id,name,groups\nada,Ada,8b\ndee,Dee,7b\nb?ea,Bea,8b\n";
    let (job, kept) = taken_in(api, failing, &[replace, ("leavers", "remove")]).await;
    assert_eq!(job["failed"], json!({ "invalid_id": 1, "rows_failed": 2 }), "{kept:?}");
    assert_eq!(roster_of(api, "8b").await, json!(["ada", "bea", "cid"]), "a row that failed may be a leaver's");

    let (job, results) = taken_in(api, this_year, &[replace, ("leavers", "remove")]).await;
    assert_eq!(job["failed"], json!({}), "{results:?}");
    assert_eq!((roster_of(api, "8b").await, roster_of(api, "7b").await), (json!(["ada"]), json!(["dee"])));
    assert_eq!((groups_of(api, "ada").await, groups_of(api, "cid").await), (json!(["8b"]), json!(["choir"])));
    // When they were there stays.
    let former = api.get("/api/v1/groups/8b/people?former=true").await.expect(200);
    let left: Vec<(&Value, bool)> = former["people"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (&member["person"], member["periods"][0]["until"].is_string()))
        .collect();
    assert_eq!(left, [(&json!("ada"), false), (&json!("bea"), true), (&json!("cid"), true)]);
    let (again, _) = taken_in(api, this_year, &[replace, ("leavers", "remove")]).await;
    assert_eq!((&again["total"], &again["counts"]["unchanged"]), (&json!(2), &json!(2)));
    // Of a file with everybody, who is not in it is in no group.
    let (_, all) = taken_in(api, this_year, &[("leavers", "remove"), ("leavers_in", "all")]).await;
    assert_eq!((&all[2]["id"], &all[2]["left"]), (&json!("cid"), &json!(["choir"])));
    assert_eq!((roster_of(api, "choir").await, roster_of(api, "8b").await), (json!([]), json!(["ada"])));
    assert_eq!(server.operator().get("/api/v1/check").await.expect(200)["problems"], json!({}));
}

#[tokio::test]
async fn a_roster_tells_of_consents_before_its_photos_are_looked_at() {
    let server = TestServer::start().await;
    let api = &server.api;
    let rules = json!({ "enrolment": { "consent": "required" }, "time_zone": "Europe/Vienna" });
    server.operator().send(Method::PATCH, "/api/v1/tenants/default", &rules).await.expect(200);
    let photos = zipped(&[("ada.jpg", &portrait("obama")), ("bea.jpg", &portrait("biden"))]);
    let csv = "id,name,Einwilligung von,Einwilligung am,Einwilligung bis\n\
        ada,Ada,A parent,1.9.2025,2099-07-31\nbea,Bea,,,\ncid,Cid,A parent,09/01/2025,\n";
    let (job, results) = api.imported(csv, Some(&photos), &[]).await;
    assert_eq!(column(&results, "samples_added"), [1, 0, 0], "{results:?}");
    assert_eq!(results[1]["refused"][0]["reason"], "consent_required");
    assert_eq!(job["failed"], json!({ "invalid_consent": 1 }));
    let consent = api.get("/api/v1/people/ada/consent").await.expect(200);
    assert_eq!((&consent["given_by"], &consent["basis"]), (&json!("A parent"), &json!("consent")));
    assert_eq!(
        (&consent["at"], &consent["expires_at"]),
        (&json!("2025-08-31T22:00:00Z"), &json!("2099-07-31T22:00:00Z"))
    );
    let named = async || {
        let form = crate::support::form(&[], &[&portrait("obama2")]);
        let seen = api.post_form("/api/v1/identify", form).await.expect(200);
        seen["photos"][0]["faces"][0]["person"].clone()
    };
    assert_eq!(named().await, "ada");
    let (again, _) = api.imported(csv, Some(&photos), &[]).await;
    assert_eq!(again["counts"]["unchanged"], 2);
    // Withdrawn, the roster of before does not give it again, nor one that does not say when; a later day does.
    api.delete("/api/v1/people/ada/consent").await.expect(204);
    assert_eq!(named().await, json!(null));
    let undated = "id,name,Einwilligung von\nada,Ada,A parent\n";
    for old in [csv, undated] {
        let (kept, _) = api.imported(old, None, &[]).await;
        assert_eq!((&kept["counts"]["updated"], named().await), (&json!(null), json!(null)), "{old}");
        assert_eq!(api.get("/api/v1/people/ada/consent").await.status, 404);
    }
    assert!(api.get("/api/v1/people/ada").await.expect(200)["consent_withdrawn_at"].is_string());
    let now = jiff::Timestamp::now().to_string();
    let (given, results) = api.imported(&format!("id,consent by,consent at\nada,A parent,{now}\n"), None, &[]).await;
    assert_eq!((&given["counts"]["updated"], named().await), (&json!(1), json!("ada")), "{results:?}");
    assert_eq!(api.get("/api/v1/people/ada").await.expect(200)["consent_withdrawn_at"], json!(null));
}

#[tokio::test]
async fn a_name_is_one_in_either_form_of_unicode_and_found_as_it_is_typed() {
    let server = TestServer::start().await;
    let api = &server.api;
    let (composed, decomposed) =
        ("id,name,École\nz,Zoë Müller,é\n", "id,name,E\u{301}cole\nz,Zoe\u{308} Mu\u{308}ller,e\u{301}\n");
    taken_in(api, decomposed.as_bytes(), &[]).await;
    let person = api.get("/api/v1/people/z").await.expect(200);
    assert_eq!((&person["name"], &person["metadata"]), (&json!("Zoë Müller"), &json!({ "École": "é" })));
    for same in [composed, decomposed] {
        assert_eq!(taken_in(api, same.as_bytes(), &[]).await.0["counts"]["unchanged"], 1);
    }
    taken_in(api, "id,name\nli,李小明\n".as_bytes(), &[]).await;
    for (query, expected) in [("mueller", json!(["z"])), ("小明", json!(["li"])), ("Zoe\u{308}", json!(["z"]))] {
        let request = api.request(Method::GET, "/api/v1/people").query(&[("query", query), ("faces", "none")]);
        let found = crate::support::Answer::to(request).await.expect(200);
        let people = found["people"].as_array().unwrap();
        assert_eq!(json!(people.iter().map(|person| person["id"].clone()).collect::<Vec<_>>()), expected, "{query}");
    }
    let mut ada = api.enrol("ada", &[], "obama").await;
    assert_eq!(ada["faces"].as_array().unwrap().len(), 1);
    ada["faces"] = json!([]);
    let listed = api.get("/api/v1/people?query=ada&faces=none").await.expect(200);
    assert_eq!(listed["people"][0]["faces"], ada["faces"], "it is long, and not wanted for a list of names");
    assert_eq!(api.get("/api/v1/people?faces=some").await.problem(), (400, "invalid_query".to_owned()));
}
