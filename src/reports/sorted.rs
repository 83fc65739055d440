//! People by their names, as many as there are: their lines wait in a file until all are known.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::lines::PersonLine;
use crate::{
    domain::people::words::by_name,
    error::{Error, Result},
    runtime::disk,
};

/// Lines that are to be sorted. What is held of each in memory is its name and where it lies.
pub struct Sorter {
    lines: BufWriter<File>,
    /// By what each is sorted, where it begins and how long it is.
    places: Vec<(String, u64, usize)>,
    end: u64,
}

impl Sorter {
    /// Nothing yet; its file lies in `folder` and has no name there.
    ///
    /// # Errors
    /// `Internal` if the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(failed)?;
        Ok(Self { lines: BufWriter::new(file), places: Vec::new(), end: 0 })
    }

    /// Takes a line in.
    ///
    /// # Errors
    /// `Full` `disk_full`.
    pub fn add(&mut self, line: &PersonLine) -> Result<()> {
        let bytes = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        self.lines.write_all(&bytes).map_err(failed)?;
        self.places.push((key(line), self.end, bytes.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// All lines by their names, and by their ids where these are the same.
    ///
    /// # Errors
    /// `Full` `disk_full`; in the lines, `Internal` if the file cannot be read.
    pub fn finish(self) -> Result<impl Iterator<Item = Result<PersonLine>>> {
        let Self { lines, mut places, .. } = self;
        let mut file = lines.into_inner().map_err(|error| failed(error.into_error()))?;
        places.sort_unstable();
        Ok(places.into_iter().map(move |(_, start, length)| {
            let mut bytes = vec![0; length];
            file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes)).map_err(failed)?;
            serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))
        }))
    }
}

/// By what people are sorted.
pub fn key(line: &PersonLine) -> String {
    by_name(line.name.as_deref(), &line.person)
}

fn failed(error: io::Error) -> Error {
    if disk::is_full(&error) {
        return disk::full();
    }
    Error::internal("the people of a report could not be sorted").with_source(error)
}
