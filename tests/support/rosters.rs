//! Rosters for the tests: CSV, ZIP files, and jobs that take them in.

use std::io::{Cursor, Write};

use jiff::civil::DateTime;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Answer, Api, eventually};

/// A ZIP file of these files.
pub(crate) fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    zipped_at(jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0), files)
}

/// The same with the time at which they were changed last.
pub(crate) fn zipped_at(modified: DateTime, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(modified.try_into().unwrap());
    for (name, bytes) in files {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A roster's form.
pub(crate) fn roster(csv: &[u8], photos: Option<&[u8]>, fields: &[(&str, &str)]) -> Form {
    let mut form = Form::new().part("csv", Part::bytes(csv.to_vec()).file_name("roster.csv"));
    if let Some(photos) = photos {
        form = form.part("photos", Part::bytes(photos.to_vec()).file_name("photos.zip"));
    }
    for &(name, value) in fields {
        form = form.text(name.to_owned(), value.to_owned());
    }
    form
}

impl Api {
    /// Hands a roster in.
    pub(crate) async fn import(&self, csv: &[u8], photos: Option<&[u8]>, fields: &[(&str, &str)]) -> Answer {
        self.post_form("/api/v1/people/import", roster(csv, photos, fields)).await
    }

    /// A job as it stands.
    pub(crate) async fn job(&self, job: &str) -> Value {
        self.get(&format!("/api/v1/jobs/{job}")).await.expect(200)
    }

    /// The job once it is over.
    pub(crate) async fn job_over(&self, job: &str) -> Value {
        let mut last = Value::Null;
        eventually("the job is over", async || {
            last = self.job(job).await;
            !["queued", "running"].contains(&last["state"].as_str().unwrap())
        })
        .await;
        last
    }

    /// Hands a roster in and waits for its end; the job, and all its reports.
    pub(crate) async fn imported(
        &self,
        csv: &str,
        photos: Option<&[u8]>,
        fields: &[(&str, &str)],
    ) -> (Value, Vec<Value>) {
        let begun = self.import(csv.as_bytes(), photos, fields).await.expect(202);
        let job = begun["id"].as_str().unwrap().to_owned();
        let over = self.job_over(&job).await;
        (over, self.results(&job).await)
    }

    /// All reports of a job, page by page.
    pub(crate) async fn results(&self, job: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/jobs/{job}/results?limit=7{after}")).await.expect(200);
            all.extend(page["results"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_u64() else { return all };
            after = format!("&after={next}");
        }
    }
}
