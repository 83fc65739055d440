//! How long closing a large session takes, and how many marks a second many clients set by hand, each mark durable
//! before it is acknowledged.
//!
//! `cargo run --release --example register_speed -- FOLDER [PEOPLE] [SECONDS]`

use std::{
    env,
    error::Error,
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use jiff::{Timestamp, ToSpan};
use rollcall::{
    domain::{
        Actor, Grant, Group, GroupSession, Person, Rules, SessionOrigin, Standing, Tenant, TenantScope,
        attendance::{Correction, Said},
        timetable::blank,
    },
    store::{ApiKey, Store, StoreOptions},
};

const CLIENTS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder that does not exist")?;
    let people: usize = arguments.next().map_or(Ok(50_000), |given| given.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |given| given.parse())?;
    if Path::new(&folder).exists() {
        return Err("the folder is there already".into());
    }
    let store = Store::open(StoreOptions::new(&folder))?;
    let scope = TenantScope::granted("t".parse()?);
    let session = filled(&store, &scope, people).await?;

    let begun = Instant::now();
    let closing = store.close_group_session(&scope, session.id, false, Timestamp::now()).await?;
    println!("closing a session of {people}: {:.2} s, {:?}", begun.elapsed().as_secs_f64(), closing.counts);
    let begun = Instant::now();
    store.reopen_group_session(&scope, session.id, "again".into(), Timestamp::now()).await?;
    println!("opening it again: {:.2} s", begun.elapsed().as_secs_f64());

    let set = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let clients: Vec<tokio::task::JoinHandle<rollcall::Result<()>>> = (0..CLIENTS)
        .map(|client| {
            let (store, scope, set) = (store.clone(), scope.clone(), Arc::clone(&set));
            tokio::spawn(async move {
                for n in (client..people).step_by(CLIENTS) {
                    if Instant::now() > until {
                        break;
                    }
                    let said = Correction { said: Said::Confirmed, reason: None, at: Timestamp::now() };
                    let person = name(n).parse()?;
                    store.correct(&scope, session.id, vec![(person, said)]).await?;
                    set.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let rate = set.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{CLIENTS} clients by hand: {rate:.0} durable marks a second; an fsync takes {:.2} ms",
        fsync_ms(&folder)?
    );
    Ok(())
}

fn name(number: usize) -> String {
    format!("person-{number:06}")
}

/// A tenant with one group of `people`, and a session of it that has not begun.
async fn filled(store: &Store, scope: &TenantScope, people: usize) -> Result<GroupSession, Box<dyn Error>> {
    let now = Timestamp::now();
    let tenant = Tenant { id: scope.tenant().clone(), name: "t".into(), created_at: now, standing: Standing::Active };
    store
        .create_tenant(&Actor::Machine, tenant, ApiKey::new([1; 32], Grant::admin(scope.tenant().clone()), now))
        .await?;
    let group =
        Group { id: "g".parse()?, name: "g".into(), time_zone: "UTC".into(), created_at: now, rules: Rules::default() };
    let groups = [group.id.clone()];
    store.create_group(scope, group.clone()).await?;
    let enrol = |number| {
        let groups = &groups;
        async move {
            let person = Person::new(name(number).parse()?, name(number), now);
            store.create_person(scope, person, groups, Vec::new()).await
        }
    };
    let mut enrolled = stream::iter(0..people).map(enrol).buffer_unordered(256);
    while let Some(person) = enrolled.next().await {
        person?;
    }
    let (starts_at, ends_at) = (now + 1.hour(), now + 2.hours());
    let session = blank(group.id.clone(), group.local_date(starts_at)?, (starts_at, ends_at), SessionOrigin::Single);
    Ok(store.create_group_session(scope, session).await?)
}

/// Milliseconds of a small write that reaches the disk, the mean of 50.
fn fsync_ms(folder: &str) -> std::io::Result<f64> {
    let mut file = File::create(Path::new(folder).join("fsync"))?;
    let begun = Instant::now();
    for _ in 0..50 {
        file.write_all(&[0; 512])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3 / 50.0)
}
