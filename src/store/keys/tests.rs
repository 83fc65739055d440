use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::store::records::samples;

const ID: &str = "[A-Za-z0-9._@:/+-]([A-Za-z0-9._@:/+ -]{0,6}[A-Za-z0-9._@:/+-])?";

fn id_text() -> impl Strategy<Value = String> {
    ID.prop_filter("an id", |text| ![".", ".."].contains(&text.as_str()))
}

fn id<T: std::str::FromStr<Err = crate::Error>>(text: &str) -> T {
    text.parse().unwrap()
}

#[test]
fn parts_cannot_run_into_each_other() {
    let tenant = id("t");
    let person = Pseudonym::generate();
    assert!(!member(&tenant, &id("ab"), person).starts_with(&members(&tenant, &id("a"))));
    assert!(!people(&id("ab")).starts_with(&data_of(&id("a"))));
}

#[test]
fn dates_sort_in_time() {
    let dates =
        [date(-9999, 1, 1), date(-1, 12, 31), date(0, 1, 1), date(1999, 12, 31), date(2026, 2, 1), date(9999, 12, 31)];
    let keys = dates.map(|date| agenda_on(&id("t"), &id("g"), date));
    assert!(keys.is_sorted_by(|one, next| one < next));
}

#[test]
fn every_key_says_what_it_was_made_of() {
    // A zero byte in a fixed part ends nothing.
    for seed in [0, 1, 7] {
        for parsed in samples(seed) {
            let key = parsed.key();
            assert_eq!(parse(&key).as_ref(), Some(&parsed));
            assert_eq!(parse(&[&key[..], b"x"].concat()), None, "longer than {parsed:?}");
            assert_eq!(parse(&key[..key.len() - 1]), None, "shorter than {parsed:?}");
            let of = match &parsed {
                Parsed::Data(of, _)
                | Parsed::Access(Realm::Tenant(of), Access::AuditEntry(_) | Access::AuditHead | Access::AuditSalt) => {
                    Some(tenant(of))
                }
                _ => None,
            };
            assert_eq!(owner(&key), of, "owner of {parsed:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_key_that_cannot_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn keys_are_unique_and_sort_as_ids(a in (id_text(), id_text()), b in (id_text(), id_text())) {
        let key = |(tenant, name): &(String, String)| group(&id(tenant), &id(name));
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
    }
}
