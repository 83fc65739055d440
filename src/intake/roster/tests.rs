use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn rows(file: &[u8]) -> Result<Vec<RosterRow>> {
    Roster::open(Cursor::new(file))?.collect()
}

#[test]
fn what_parts_fields_and_lines_makes_no_difference() {
    let expected = [RosterRow {
        line: 2,
        id: "ada".into(),
        name: Some("Lovelace, Ada".into()),
        email: Some("ada@x".into()),
        groups: vec!["a".into(), "b c".into()],
        on_roster_since: Some("2026-09-01".into()),
        metadata: vec![("Seat No".into(), "7".into())],
        ..RosterRow::default()
    }];
    for (file, delimiter) in [
        ("id,name,email,groups,on_roster_since,Seat No\nada,\"Lovelace, Ada\",ada@x,a;b c,2026-09-01,7\n", ","),
        (
            "\u{feff}ID;Name;Email;Groups;On_Roster_Since;Seat No\r\n ada ;Lovelace, Ada;ada@x;a| b c|;2026-09-01;7\r\n;;;;;\r\n",
            ";",
        ),
        (
            "\u{feff}\"id\",name,email,groups,on roster since,Seat No,\nada,\"Lovelace, Ada\",ada@x,a|b c,2026-09-01,7,\n\n",
            ",",
        ),
        ("id\tname\tE-Mail\tgroups\tOn roster since\tSeat No\rada\tLovelace, Ada\tada@x\ta;b c\t2026-09-01\t7", "\t"),
    ] {
        assert_eq!(rows(file.as_bytes()).unwrap(), expected, "{file}");
        for (before, behind) in [("sep=", ""), ("SEP=", ""), ("\"sep=", "\"")] {
            let file = format!("\r\n{before}{delimiter}{behind}\r\n{}", file.trim_start_matches('\u{feff}'));
            let rows = rows(file.as_bytes()).unwrap();
            assert_eq!(rows, [RosterRow { line: 4, ..expected[0].clone() }], "{file}");
        }
    }
}

#[test]
fn lines_without_anything_are_passed_over_however_many() {
    assert_eq!(rows(&b"\r".repeat(10 << 20)).unwrap_err().code(), "invalid_csv");
    let blank = format!("{}id\n{}ada\n", "\n".repeat(1000), "\n".repeat(1000));
    let rows = rows(blank.as_bytes()).unwrap();
    assert_eq!((rows.len(), rows[0].line, rows[0].id.as_str()), (1, 2002, "ada"));
}

#[test]
fn what_is_no_roster_is_refused_with_the_line() {
    let endless = format!("id,name\n1,a\n2,\"{}", "x".repeat(3 * MAX_ROW_BYTES));
    for (file, said) in [
        (&b""[..], "column id"),
        (b"name\nx\n", "its columns are: name"),
        (b"id,seat,Seat\n1,2,3\n", "twice"),
        (b"id,name\n1,\xc3\xa9\n2,\xff\n", "line 3 is not UTF-8"),
        (b"\xef\xbb\xbfid,n\xffme\n", "line 1 is not UTF-8"),
        (endless.as_bytes(), "from line 3 on: a row has more than"),
        (&endless.as_bytes()["id,name\n1,a\n2,".len()..], "from line 1 on: a row has more than"),
        (b"id,name,size\r\nq1,Ann,\"19\r\nq2,Bob,\"20\r\nq3,Cid,\"21\r\n", "line 2: a quote opens"),
        (b"id,name\r1,\"a\r2,b\r", "line 2: a quote opens"),
    ] {
        let error = rows(file).unwrap_err();
        assert_eq!(error.code(), "invalid_csv");
        assert!(error.message().contains(said), "{}", error.message());
    }
}

#[test]
fn a_row_of_another_length_is_a_fault_of_that_row() {
    let text = "id,name\n1\n2,b\n3,c,d\n\"4\n\",\u{202e}אדה 👩🏽‍🚀\n";
    let rows = rows(text.as_bytes()).unwrap();
    for end in ["\r\n", "\r"] {
        assert_eq!(rows, self::rows(text.replace('\n', end).as_bytes()).unwrap());
    }
    let faulty: Vec<bool> = rows.iter().map(|row| row.fault.is_some()).collect();
    assert_eq!(faulty, [true, false, true, false]);
    assert_eq!((rows[3].line, rows[3].id.as_str()), (5, "4"));
    assert_eq!(rows[3].name.as_deref(), Some("\u{202e}אדה 👩🏽‍🚀"));
}

#[test]
fn a_cell_of_two_lines_is_one_entry_of_one_row() {
    let rows = rows(b"id,name,address\r\nq1,Ann,\"Main St 1\r\n1010 Wien\"\r\nq2,Bob,x\r\n").unwrap();
    assert_eq!(rows[0].metadata, [("address".to_owned(), "Main St 1\n1010 Wien".to_owned())]);
    assert_eq!((rows[1].id.as_str(), rows[1].line), ("q2", 4));
}

/// A file as some program may write it.
#[derive(Debug, Clone)]
struct Written {
    /// What is in the columns id, name and address; ids are numbers from 1.
    people: Vec<[String; 3]>,
    /// After each: how many blank lines.
    gaps: Vec<usize>,
    delimiter: char,
    line_end: &'static str,
    is_quoted: bool,
    is_announced: bool,
    encoding: usize,
}

const ENCODINGS: usize = 4;

impl Written {
    fn text(&self) -> String {
        let mut text = String::new();
        if self.is_announced {
            text.extend(["sep=", &self.delimiter.to_string(), self.line_end]);
        }
        text += &self.line(&["id", "name", "address"]);
        for (person, gap) in self.people.iter().zip(&self.gaps) {
            text += &self.line(&[&person[0], &person[1], &person[2]]);
            text += &self.line_end.repeat(*gap);
        }
        text
    }

    fn line(&self, fields: &[&str]) -> String {
        let field = |field: &&str| {
            let is_needed = field.contains([self.delimiter, '"', '\n']);
            let field = field.replace('\n', self.line_end);
            if self.is_quoted || is_needed { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
        };
        fields.iter().map(field).collect::<Vec<_>>().join(&self.delimiter.to_string()) + self.line_end
    }

    fn bytes(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            0 => text.as_bytes().to_vec(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
            _ => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    fn without_quotes_inside(mut self) -> Self {
        self.people.iter_mut().flatten().for_each(|field| field.retain(|c| c != '"'));
        self
    }

    /// The lines on which people begin.
    fn lines(&self) -> Vec<u64> {
        let mut line = 2 + u64::from(self.is_announced);
        let mut lines = Vec::new();
        for (person, gap) in self.people.iter().zip(&self.gaps) {
            lines.push(line);
            let inner = person.iter().map(|field| field.matches('\n').count()).sum::<usize>();
            line += (1 + inner + gap) as u64;
        }
        lines
    }
}

fn written() -> impl Strategy<Value = Written> {
    let field = || "[a-zé李\",;'| ]{0,6}(\n[a-z\"]{1,4})?";
    let person = (field(), field());
    let style =
        (prop::sample::select(vec![',', ';', '\t']), prop::sample::select(vec!["\n", "\r\n", "\r"]), any::<bool>());
    let people = prop::collection::vec((person, 0..3_usize), 0..8);
    (people, style, any::<bool>(), 0..ENCODINGS).prop_map(|(people, style, is_announced, encoding)| {
        let (people, gaps) = people
            .into_iter()
            .enumerate()
            .map(|(n, ((name, address), gap))| ([(n + 1).to_string(), name, address], gap))
            .unzip();
        let (delimiter, line_end, is_quoted) = style;
        Written { people, gaps, delimiter, line_end, is_quoted, is_announced, encoding }
    })
}

proptest! {
    #[test]
    fn every_person_of_a_file_is_a_row_on_their_line(written in written()) {
        let rows = rows(&written.bytes(&written.text())).unwrap();
        let found: Vec<_> = rows.iter().map(|row| {
            let address = row.metadata.first().map(|(_, address)| address.clone());
            (row.line, row.id.clone(), row.name.clone(), address, row.fault.is_some())
        }).collect();
        let shown = |field: &String| Some(field.trim().to_owned()).filter(|field| !field.is_empty());
        let expected: Vec<_> = written.lines().into_iter().zip(&written.people).map(|(line, [id, name, address])| {
            (line, id.clone(), shown(name), shown(address), false)
        }).collect();
        prop_assert_eq!(found, expected);
    }

    // Of a file whose fields hold quotes and lines themselves nobody can tell which of them was lost.
    #[test]
    fn a_file_that_has_lost_or_got_a_quote_is_refused_or_has_everybody(
        written in written().prop_map(Written::without_quotes_inside),
        place: prop::sample::Index,
        is_lost: bool,
    ) {
        let mut text = written.text();
        let header = text.find("address").unwrap() + "address".len();
        let quotes: Vec<usize> = text.match_indices('"').map(|(at, _)| at).filter(|at| *at > header).collect();
        if is_lost && !quotes.is_empty() {
            text.remove(*place.get(&quotes));
        } else {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).filter(|at| *at >= header).collect();
            text.insert(*place.get(&places), '"');
        }
        match rows(&written.bytes(&text)) {
            Err(error) => prop_assert_eq!(error.code(), "invalid_csv"),
            Ok(rows) => {
                let all = |texts: &mut dyn Iterator<Item = String>| texts.flat_map(|text| {
                    text.chars().filter(char::is_ascii_digit).collect::<Vec<_>>()
                }).collect::<BTreeSet<char>>();
                let found = all(&mut rows.iter().map(|row| row.id.clone()));
                prop_assert_eq!(found, all(&mut written.people.iter().map(|[id, ..]| id.clone())), "{}", text);
            }
        }
    }
}
