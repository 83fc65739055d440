//! Fills a data folder with a term: people on one roster, and closed sessions in which nine of ten were seen in photos,
//! with the evidence as photos leave it. For measuring reports over a server of that folder.
//!
//! `cargo run --release -p rollcall-benches --bin term -- DATA [PEOPLE] [SESSIONS]`

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{env, error::Error, fs, path::Path, sync::Arc, time::Instant};

use futures_util::{TryStreamExt, stream};
use jiff::{Timestamp, ToSpan, civil::date, tz::TimeZone};
use rollcall::{
    domain::{
        Group, GroupSession, ModelId, Person, PersonId, PhotoId, Rules, SessionOrigin, Sighting, TenantScope,
        TimeTrust, attendance::timetable::blank, recognition::liveness::LivenessPolicy,
    },
    service::access::first_start::first_start,
    store::{ClosingRules, PhotoMarks, Seen, Store, StoreOptions},
};

/// People that one photo shows.
const A_PHOTO: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let data = arguments.next().ok_or("give a data folder that does not exist")?;
    let data = Path::new(&data);
    let people: usize = arguments.next().map_or(Ok(50_000), |given| given.parse())?;
    let sessions: i32 = arguments.next().map_or(Ok(200), |given| given.parse())?;
    if data.exists() {
        return Err("the folder is there already".into());
    }
    fs::create_dir_all(data)?;
    let store = Store::open(StoreOptions::new(data.join("store")))?;
    first_start(&store, data, Timestamp::now()).await?;
    let scope = TenantScope::granted("default".parse()?);
    let group = roster(&store, &scope, people).await?;
    for day in 0..sessions {
        let begun = Instant::now();
        let day_of_term = date(2026, 1, 5).checked_add(day.days())?;
        let starts_at = day_of_term.at(8, 0, 0, 0).to_zoned(TimeZone::UTC)?.timestamp();
        let times = (starts_at, starts_at + 1.hour());
        let session = blank(group.id.clone(), day_of_term, times, SessionOrigin::Single);
        let session = store.create_group_session(&scope, session).await?;
        for first in (0..people).step_by(A_PHOTO) {
            store.mark_photo(&scope, photo(&session, first..people.min(first + A_PHOTO), day as usize)?).await?;
        }
        let marked = begun.elapsed().as_secs_f64();
        let closing = store.close_group_session(&scope, session.id, ClosingRules::default(), Timestamp::now()).await?;
        let closed = begun.elapsed().as_secs_f64() - marked;
        println!("{day_of_term}: marked in {marked:.2} s, closed in {closed:.2} s, {:?}", closing.counts);
    }
    Ok(())
}

/// A photo of these people, but for one in ten, another one in every session.
fn photo(session: &GroupSession, numbers: std::ops::Range<usize>, day: usize) -> Result<PhotoMarks, Box<dyn Error>> {
    let at = session.starts_at + 5.minutes();
    let id = PhotoId::generate();
    let sighting = |number: usize| Sighting {
        photo: id,
        face: (number % A_PHOTO) as u32,
        at,
        similarity: 0.55 + (number % 31) as f32 / 100.0,
        margin: Some(0.3),
        runner_up: None,
        width_px: 64.0,
        liveness: None,
        model: ModelId { name: "mobilefacenet".into(), dimension: 512, postprocessing: 1 },
        refuted: false,
        time: TimeTrust::Trusted,
    };
    let seen = numbers
        .filter(|number| !(number * 7 + day * 3).is_multiple_of(10))
        .map(|number| {
            Ok(Seen { person: name(number).parse::<PersonId>()?, sighting: sighting(number), runner_up: None })
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    Ok(PhotoMarks {
        session: session.clone(),
        at,
        time: TimeTrust::Trusted,
        source: None,
        seen,
        unknown: None,
        judged_under: Arc::default(),
        liveness: LivenessPolicy::Off,
    })
}

fn name(number: usize) -> String {
    format!("person-{number:06}")
}

/// A group with everybody on its roster since the beginning of the term.
async fn roster(store: &Store, scope: &TenantScope, people: usize) -> Result<Group, Box<dyn Error>> {
    let since: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let (id, time_zone) = ("term".parse()?, "UTC".into());
    let group = Group { id, name: "A term".into(), time_zone, created_at: since, rules: Rules::default() };
    store.create_group(scope, group.clone()).await?;
    let groups = [group.id.clone()];
    stream::iter((0..people).map(Ok))
        .try_for_each_concurrent(256, |number| {
            let groups = &groups;
            async move {
                let person = Person::new(name(number).parse()?, format!("Person {number} of the term"), since);
                store.create_person(scope, person, groups, Vec::new()).await?;
                Ok::<(), Box<dyn Error>>(())
            }
        })
        .await?;
    Ok(group)
}
