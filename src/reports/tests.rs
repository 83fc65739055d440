use std::{io::Read, sync::Arc};

use jiff::civil::date;
use serde_json::{Value as Json, json};

use super::{
    csv::Csv,
    heatmap::heatmap,
    lines::{Line, Value, is_formula},
    writer::{Format, Rest, Wanted, Writer},
    *,
};

/// Two sessions of group `a` on Monday and Wednesday, one of `b` on Monday between them.
fn sessions() -> Arc<[ReportSession]> {
    let session = |group: &str, day, hour| {
        let local_start = date(2026, 3, day).at(hour, 30, 0, 0);
        ReportSession {
            session: GroupSessionId::generate(),
            group: group.parse().unwrap(),
            group_name: format!("=Group <{group}>"),
            title: None,
            date: local_start.date(),
            starts_at: local_start.in_tz("UTC").unwrap().timestamp(),
            local_start,
        }
    };
    [session("a", 2, 8), session("b", 2, 10), session("a", 4, 8)].into()
}

fn row(person: &str, name: Option<&str>, cells: [Option<(Status, u32)>; 3]) -> PersonRow {
    let cell = |(status, late_minutes)| Cell { status, late_minutes };
    PersonRow {
        person: person.parse().unwrap(),
        name: name.map(str::to_owned),
        cells: cells.map(|given| given.map(cell)).to_vec(),
    }
}

fn people() -> Vec<PersonRow> {
    use Status::{Absent, Covered, Excused, Holiday, Late, LeftEarly, NotOnRoster, Present, Undecided};
    vec![
        row("anna", Some("=cmd()"), [Some((Present, 0)), Some((Late, 12)), Some((LeftEarly, 0))]),
        row("ben", Some("Ben, \"B\""), [Some((Absent, 0)), None, Some((Excused, 0))]),
        row("-c", None, [Some((NotOnRoster, 0)), Some((Undecided, 0)), Some((Absent, 0))]),
        row("dora", Some("Dora"), [Some((Holiday, 0)), Some((Covered, 0)), None]),
        row("emil", Some("Emil"), [Some((Late, 3)), Some((Absent, 0)), Some((Present, 0))]),
    ]
}

fn wanted(by: By, format: Format, below: Option<f64>) -> Wanted {
    let period = Period { from: date(2026, 3, 1), until: date(2026, 3, 31) };
    Wanted { by, format, period, below, folder: std::env::temp_dir() }
}

/// A report of `rows`, which come two at a time.
fn report(wanted: Wanted, rows: &[PersonRow]) -> Vec<u8> {
    let (mut writer, mut out) = Writer::begin(wanted, sessions()).unwrap();
    for block in rows.chunks(2) {
        out.extend(writer.add(block.to_vec()).unwrap());
    }
    match writer.finish().unwrap() {
        Rest::Bytes(bytes) => out.extend(bytes),
        Rest::File(mut file) => {
            file.read_to_end(&mut out).unwrap();
        }
    }
    out
}

fn rows(by: By, below: Option<f64>) -> Vec<Json> {
    let report: Json = serde_json::from_slice(&report(wanted(by, Format::Json, below), &people())).unwrap();
    assert_eq!((&report["from"], &report["until"]), (&json!("2026-03-01"), &json!("2026-03-31")));
    assert_eq!(report["by"], json!(by));
    assert_eq!(report["sessions"].as_array().map(Vec::len), (by == By::Matrix).then_some(3));
    report["rows"].as_array().unwrap().clone()
}

#[test]
fn the_denominator_is_what_was_attended_and_missed() {
    let rows = rows(By::Person, None);
    let expected = [
        ("anna", 3, 3, json!(1.0), [1, 1, 1, 0, 0, 0, 12]),
        ("ben", 1, 0, json!(0.0), [0, 0, 0, 1, 1, 0, 0]),
        ("-c", 1, 0, json!(0.0), [0, 0, 0, 1, 0, 1, 0]),
        ("dora", 0, 0, json!(null), [0; 7]),
        ("emil", 3, 2, json!(0.6667), [1, 1, 0, 1, 0, 0, 3]),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (person, counted, attended, rate, figures)) in rows.iter().zip(expected) {
        assert_eq!(row["person"], person);
        assert_eq!(
            (&row["counted"], &row["attended"], &row["rate"]),
            (&json!(counted), &json!(attended), &rate),
            "{person}"
        );
        let names = ["present", "late", "left_early", "absent", "excused", "undecided", "late_minutes"];
        assert_eq!(names.map(|name| row[name].as_u64().unwrap()), figures, "{person}");
        assert_eq!(row.get("statuses"), None);
    }
}

#[test]
fn streaks_skip_what_does_not_count() {
    use Status::{Absent as A, Covered as C, Excused as X, Late as L, LeftEarly as E, Present as P, Undecided as U};
    let table: [(&[Status], [u32; 4]); 6] = [
        (&[], [0, 0, 0, 0]),
        (&[P, L, E], [3, 0, 3, 0]),
        (&[P, X, P, A, A, X], [2, 2, 0, 2]),
        (&[A, U, A, P, C], [1, 2, 1, 0]),
        (&[P, P, A, P], [2, 1, 1, 0]),
        (&[A, A, A, P, A], [1, 3, 0, 1]),
    ];
    for (statuses, expected) in table {
        let mut streaks = tally::Streaks::default();
        for &status in statuses {
            streaks.add(status);
        }
        let tally::Streaks { longest_attended, longest_absent, attended_now, absent_now } = streaks;
        assert_eq!([longest_attended, longest_absent, attended_now, absent_now], expected, "{statuses:?}");
    }
}

#[test]
fn sessions_and_groups_have_their_own_figures() {
    let of_sessions = rows(By::Session, None);
    let figures = |row: &Json| [&row["counted"], &row["attended"], &row["late_minutes"]].map(|n| n.as_u64().unwrap());
    assert_eq!(of_sessions.iter().map(figures).collect::<Vec<_>>(), [[3, 2, 3], [2, 1, 12], [3, 2, 0]]);
    assert_eq!(of_sessions[1]["local_start"], "2026-03-02T10:30:00");
    let of_groups = rows(By::Group, None);
    assert_eq!(of_groups.iter().map(figures).collect::<Vec<_>>(), [[6, 4, 3], [2, 1, 12]]);
    let sizes: Vec<_> =
        of_groups.iter().map(|row| (row["group"].clone(), row["sessions"].clone(), row["people"].clone())).collect();
    assert_eq!(sizes, [(json!("a"), json!(2), json!(5)), (json!("b"), json!(1), json!(4))]);
}

#[test]
fn at_risk_is_below_and_not_at_the_threshold() {
    let ids = |below| -> Vec<Json> { rows(By::Person, Some(below)).iter().map(|row| row["person"].clone()).collect() };
    assert_eq!(ids(0.5), [json!("ben"), json!("-c")]);
    assert_eq!(ids(2.0 / 3.0), [json!("ben"), json!("-c")], "unrounded");
    assert_eq!(ids(0.67), [json!("ben"), json!("-c"), json!("emil")]);
    assert_eq!(ids(0.0), Vec::<Json>::new());
}

#[test]
fn a_matrix_says_what_the_register_says() {
    let rows = rows(By::Matrix, None);
    assert_eq!(rows[0]["statuses"], json!(["present", "late", "left_early"]));
    assert_eq!(rows[1]["statuses"], json!(["absent", null, "excused"]));
    let csv = String::from_utf8(report(wanted(By::Matrix, Format::Csv, None), &people())).unwrap();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert!(lines[0].starts_with("person,name,counted,attended,rate,"), "{}", lines[0]);
    assert!(lines[0].ends_with("absent_now,2026-03-02 08:30 a,2026-03-02 10:30 b,2026-03-04 08:30 a"), "{}", lines[0]);
    assert_eq!(lines[1], "anna,'=cmd(),3,3,1,1,1,1,0,0,0,12,3,0,3,0,present,late,left_early");
    assert_eq!(lines[2], "ben,\"Ben, \"\"B\"\"\",1,0,0,0,0,0,1,1,0,0,0,1,0,1,absent,,excused");
    assert_eq!(lines[3], "'-c,,1,0,0,0,0,0,1,0,1,0,0,1,0,1,not_on_roster,undecided,absent");
    assert_eq!(lines.len(), 6);
}

#[test]
fn no_text_is_a_formula() {
    for text in ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "＝1", "－1"] {
        assert!(is_formula(text), "{text:?}");
    }
    for text in ["", "a=1", "1-1", " =1", "Zoë"] {
        assert!(!is_formula(text), "{text:?}");
    }
}

/// A program that takes semicolons for what parts cells makes several of one.
#[test]
fn no_part_of_a_text_is_a_formula() {
    let mut csv = Csv::new();
    csv.line([Value::Text(";=A1;\t@x; -1;a=1".into())]).unwrap();
    assert_eq!(String::from_utf8(csv.finish().unwrap()).unwrap(), ";'=A1;'\t'@x; -1;a=1\r\n");
}

#[test]
fn an_empty_report_is_whole() {
    for by in [By::Person, By::Matrix, By::Session, By::Group] {
        let document: Json = serde_json::from_slice(&report(wanted(by, Format::Json, None), &[])).unwrap();
        assert!(document["rows"].is_array());
        let csv = String::from_utf8(report(wanted(by, Format::Csv, None), &[])).unwrap();
        assert!(csv.ends_with("\r\n"));
        assert!(String::from_utf8(report(wanted(by, Format::Svg, None), &[])).unwrap().contains("</svg>"));
        assert!(report(wanted(by, Format::Xlsx, None), &[]).starts_with(b"PK"));
    }
}

#[test]
fn a_heat_map_goes_by_the_clocks_of_the_groups() {
    let mut table = tables::Table::new(By::Session, sessions(), None);
    assert_eq!(table.add(people()), []);
    let lines = table.finish();
    let cells = heatmap(lines.iter().filter_map(|line| if let Line::Session(line) = line { Some(line) } else { None }));
    let cells: Vec<_> = cells.iter().map(|c| (c.weekday, c.hour, c.sessions, c.counted, c.attended, c.rate)).collect();
    assert_eq!(cells, [(1, 8, 1, 3, 2, Some(0.6667)), (1, 10, 1, 2, 1, Some(0.5)), (3, 8, 1, 3, 2, Some(0.6667))]);
}

/// All kinds of pictures: of what their lines are, and below which share people are listed.
const PICTURES: [(By, Option<f64>); 5] =
    [(By::Person, None), (By::Matrix, None), (By::Session, None), (By::Group, None), (By::Person, Some(0.8))];

#[test]
fn no_two_pictures_are_alike_and_each_says_what_it_is_of() {
    let pictures =
        PICTURES.map(|(by, below)| String::from_utf8(report(wanted(by, Format::Svg, below), &people())).unwrap());
    for (place, picture) in pictures.iter().enumerate() {
        assert!(picture.contains("=Group &lt;a&gt;, =Group &lt;b&gt;, 2026-03-01 to 2026-03-31"), "{picture}");
        assert!(picture.contains("mm\" height=\"") && picture.contains("viewBox"), "{picture}");
        assert!(pictures[..place].iter().all(|other| other != picture), "{:?}", PICTURES[place]);
    }
    let place = |picture: &str, text: &str| picture.find(text).unwrap_or_else(|| panic!("{text} in {picture}"));
    for (picture, names) in
        [(&pictures[1], &["=cmd()", "Ben", "Dora", "Emil"][..]), (&pictures[4], &["Ben", "Emil"][..])]
    {
        let places: Vec<usize> = names.iter().map(|name| place(picture, name)).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
    assert!(pictures[4].contains("Attendance below 80 %") && !pictures[4].contains("Dora"));
}

#[test]
fn a_picture_of_too_many_people_is_refused() {
    let many: Vec<PersonRow> = (0..1001).map(|n| row(&format!("p{n}"), None, [Some((Status::Absent, 0)); 3])).collect();
    for (by, below) in PICTURES {
        let lists_people = by == By::Matrix || below.is_some();
        let (mut writer, _) = Writer::begin(wanted(by, Format::Svg, below), sessions()).unwrap();
        let added = writer.add(many.clone());
        assert_eq!(
            added.err().map(|error| error.code()),
            lists_people.then_some("report_too_large"),
            "{by:?} {below:?}"
        );
    }
}

/// The texts of the cells of a workbook's first sheet, row by row.
fn sheet(workbook: &[u8]) -> Vec<Vec<String>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(workbook)).unwrap();
    let mut sheet = String::new();
    archive.by_name("xl/worksheets/sheet1.xml").unwrap().read_to_string(&mut sheet).unwrap();
    assert!(sheet.contains("paperSize=\"9\"") && sheet.contains("landscape"), "A4: {sheet}");
    let texts = |row: &str| {
        let cells = row.split("<t>").skip(1).chain(row.split("<t xml:space=\"preserve\">").skip(1));
        cells.map(|cell| cell.split("</t>").next().unwrap().to_owned()).collect()
    };
    sheet.split("<row ").skip(1).map(texts).collect()
}

#[test]
fn a_workbook_has_a_caption_headings_in_words_and_people_by_their_names() {
    for by in [By::Person, By::Matrix] {
        let rows = sheet(&report(wanted(by, Format::Xlsx, None), &people()));
        assert!(rows[0][0] == "Attendance by person" || rows[0][0] == "Register", "{rows:?}");
        assert_eq!(rows[1], ["=Group &lt;a&gt;, =Group &lt;b&gt;, 2026-03-01 to 2026-03-31"]);
        assert_eq!(rows[2][..5], ["Id", "Name", "Counted", "Attended", "Attendance"]);
        let ids: Vec<&str> = rows.iter().map(|row| row[0].as_str()).filter(|id| id.len() < 5).collect();
        assert_eq!(ids, ["Id", "-c", "anna", "ben", "dora", "emil"], "{by:?}");
    }
    let groups = sheet(&report(wanted(By::Group, Format::Xlsx, None), &people()));
    assert_eq!((groups[0][0].as_str(), groups[2][1].as_str()), ("Attendance by group", "Group"));
}

#[test]
fn names_and_headings_of_columns_are_as_many() {
    for by in [By::Person, By::Matrix, By::Session, By::Group] {
        assert_eq!(lines::columns(by).len(), lines::headings(by).len());
        assert!(
            lines::headings(by).iter().all(|heading| heading.starts_with(char::is_uppercase) && !heading.contains('_'))
        );
    }
}

#[test]
fn pictures_show_names_as_text_and_nothing_else() {
    let groups = String::from_utf8(report(wanted(By::Group, Format::Svg, None), &people())).unwrap();
    assert!(groups.contains("=Group &lt;a&gt;") && !groups.contains("<a>"), "{groups}");
    let people = String::from_utf8(report(wanted(By::Person, Format::Svg, None), &people())).unwrap();
    assert!(people.contains("90-100 %"), "{people}");
}
