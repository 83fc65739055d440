//! Kept answers and erasures: whoever is erased is in no answer that comes back, and every other answer does.

use std::ops::Range;

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::store::{Claim, KeptAnswer};

const PEOPLE: usize = 6;
const MOMENTS: Range<usize> = 0..8;

/// A request: whom its answer shows, when it begins, how much later its answer is kept.
#[derive(Debug, Clone)]
struct Request {
    shown: Vec<usize>,
    begins: usize,
    takes: usize,
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let request = (vec(0..PEOPLE, 0..3), MOMENTS, 0..4usize);
    vec(request.prop_map(|(shown, begins, takes)| Request { shown, begins, takes }), 1..20)
}

fn pid(person: usize) -> String {
    format!("p{person}")
}

/// Ids of people deep inside, and texts that only look like them.
fn body(request: &Request, decoy: usize) -> Vec<u8> {
    let shown: Vec<_> = request.shown.iter().map(|&person| json!({ "person": pid(person), "name": "Same" })).collect();
    let decoy = pid(decoy);
    let answer =
        json!({ "id": "g", "name": decoy, "note": format!("\"{decoy}\" or not"), (decoy.clone()): 1, "x": [[shown]] });
    answer.to_string().into_bytes()
}

fn claim(n: usize) -> Claim {
    Claim::new(Some(scope("t").tenant()), &[n as u8; 32], || KeptAnswer { body: [0; 32], at: now(), answer: None })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn exactly_the_answers_that_show_the_erased_are_gone(
        requests in requests(),
        erased in vec(proptest::option::weighted(0.5, MOMENTS), PEOPLE),
        decoy in 0..PEOPLE,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for person in 0..PEOPLE {
                fixture.enrol(&pid(person), &[], vec![]).await.unwrap();
            }
            let claims: Vec<Claim> = (0..requests.len()).map(claim).collect();
            for moment in 0..MOMENTS.end + 4 {
                for (request, claim) in requests.iter().zip(&claims) {
                    if request.begins == moment {
                        assert_eq!(fixture.answer(claim).await.unwrap(), None);
                    }
                    if request.begins + request.takes == moment {
                        fixture.keep_answer(claim, Some((201, body(request, decoy)))).await.unwrap();
                    }
                }
                for (person, _) in erased.iter().enumerate().filter(|(_, when)| **when == Some(moment)) {
                    fixture.delete_person(&scope("t"), &id(&pid(person)), now()).await.unwrap();
                }
            }
            for (request, claim) in requests.iter().zip(&claims) {
                let gone = request.shown.iter().any(|&person| erased[person] >= Some(request.begins));
                let kept = fixture.answer(claim).await.unwrap().unwrap();
                assert_eq!(kept.answer, (!gone).then(|| (201, body(request, decoy))), "{request:?}");
            }
        });
    }
}

#[tokio::test]
async fn who_asks_during_an_erasure_is_told_of_it_too() {
    let fixture = Fixture::new().await;
    fixture.enrol("p0", &[], vec![]).await.unwrap();
    let erasing = fixture.begin_erasure();
    fixture.delete_person(&scope("t"), &id("p0"), now()).await.unwrap();
    // Something besides the store may still find them.
    let shows = Request { shown: vec![0], begins: 0, takes: 0 };
    let (during, after) = (claim(1), claim(2));
    assert_eq!(fixture.answer(&during).await.unwrap(), None);
    drop(erasing);
    assert_eq!(fixture.answer(&after).await.unwrap(), None);
    for (claim, is_kept) in [(&during, false), (&after, true)] {
        fixture.keep_answer(claim, Some((201, body(&shows, 1)))).await.unwrap();
        assert_eq!(fixture.answer(claim).await.unwrap().unwrap().answer.is_some(), is_kept);
    }
}
