//! How many marks a second many clients set by hand over HTTP, each mark durable before it is acknowledged, and how long
//! closing the session takes. The server runs already, on the data folder; the time of an fsync there is printed too.
//!
//! `cargo run --release -p rollcall-benches --bin register_speed -- DATA GROUP [SECONDS]`

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use jiff::Zoned;
use reqwest::Client;
use serde_json::{Value, json};

const CLIENTS: usize = 16;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let data = arguments.next().ok_or("give the data folder of a running server")?;
    let group = arguments.next().ok_or("give a group")?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |given| given.parse())?;
    // Clients want one, also for plain HTTP.
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = Server::of(Path::new(&data))?;
    let people = server.roster(&group).await?;
    let today = Zoned::now().date();
    let session = json!({ "title": "speed", "date": today, "start": "00:00", "end": "23:59" });
    let session = server.post(&format!("groups/{group}/sessions"), &session).await?;
    let session = format!("sessions/{}", session["id"].as_str().ok_or("a session without an id")?);

    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    let clients =
        (0..CLIENTS).map(|client| server.confirm(&session, people.iter().skip(client).step_by(CLIENTS), until));
    let marks: usize = try_join_all(clients).await?.into_iter().sum();
    let rate = marks as f64 / begun.elapsed().as_secs_f64();
    println!("{CLIENTS} clients by hand: {rate:.0} durable marks a second");
    println!("an fsync takes {:.2} ms", fsync_ms(Path::new(&data))?);
    if marks == people.len() {
        println!("that was everybody: the time was too long, the rate is too low");
    }

    let begun = Instant::now();
    let closing = server.post(&format!("{session}/close"), &json!({})).await?;
    println!("closing a session of {}: {:.2} s, {}", people.len(), begun.elapsed().as_secs_f64(), closing["counts"]);
    let begun = Instant::now();
    server.post(&format!("{session}/reopen"), &json!({ "reason": "again" })).await?;
    println!("opening it again: {:.2} s", begun.elapsed().as_secs_f64());
    Ok(())
}

struct Server {
    client: Client,
    api: String,
    key: String,
}

impl Server {
    /// The server that runs on a data folder, with the first tenant's key.
    fn of(data: &Path) -> Result<Self, Box<dyn Error>> {
        let address = fs::read_to_string(data.join("server.address"))?;
        let address = address.lines().next().ok_or("no server runs on the data folder")?;
        let key = fs::read_to_string(data.join("default.key"))?.trim().to_owned();
        Ok(Self { client: Client::new(), api: format!("http://{address}/api/v1"), key })
    }

    async fn roster(&self, group: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let shown = self.client.get(format!("{}/groups/{group}", self.api)).bearer_auth(&self.key).send().await?;
        let shown: Value = shown.error_for_status()?.json().await?;
        let people = shown["people"].as_array().ok_or("a group without people")?;
        Ok(people.iter().filter_map(|person| person.as_str().or(person["id"].as_str())).map(str::to_owned).collect())
    }

    async fn post(&self, route: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        let answer = self.client.post(format!("{}/{route}", self.api)).bearer_auth(&self.key).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// One client that says of one person after another that they are there; of how many until then.
    async fn confirm(
        &self,
        session: &str,
        people: impl Iterator<Item = &String>,
        until: Instant,
    ) -> Result<usize, Box<dyn Error>> {
        let mut marks = 0;
        for person in people.take_while(|_| Instant::now() < until) {
            self.post(&format!("{session}/confirm"), &json!({ "confirm": [person] })).await?;
            marks += 1;
        }
        Ok(marks)
    }
}

/// Milliseconds of a small write that reaches the disk, the mean of 50.
fn fsync_ms(folder: &Path) -> std::io::Result<f64> {
    let path = folder.join("fsync");
    let mut file = File::create(&path)?;
    let begun = Instant::now();
    for _ in 0..50 {
        file.write_all(&[0; 512])?;
        file.sync_data()?;
    }
    let mean = begun.elapsed().as_secs_f64() * 1e3 / 50.0;
    fs::remove_file(path)?;
    Ok(mean)
}
