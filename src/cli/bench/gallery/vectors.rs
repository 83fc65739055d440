//! The files of vectors, and what is made of their rows.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use super::super::read_file;
use crate::{
    domain::{FaceId, FaceSample, ModelId, PersonId, Quality},
    error::{Error, Result},
};

/// Nearest rows that `truth.u32` has of each query.
const NEAREST: usize = 10;

/// A folder of vectors. The gallery's are read when they are used: there may be more than fit beside a gallery.
pub(super) struct VectorFiles {
    gallery: PathBuf,
    pub(super) rows: usize,
    /// Numbers in a vector.
    pub(super) dimension: usize,
    /// One after the other.
    pub(super) queries: Vec<f32>,
    /// The nearest row of each query.
    pub(super) nearest: Vec<usize>,
}

impl VectorFiles {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let queries: Vec<f32> = words(&folder.join("queries.f32"))?.into_iter().map(f32::from_le_bytes).collect();
        let truth: Vec<u32> = words(&folder.join("truth.u32"))?.into_iter().map(u32::from_le_bytes).collect();
        let num_queries = truth.len() / NEAREST;
        let gallery = folder.join("gallery.f32");
        let bytes = fs::metadata(&gallery).map_err(|error| unreadable(&gallery, error))?.len() as usize;
        if num_queries == 0 || queries.is_empty() || !queries.len().is_multiple_of(num_queries) {
            return Err(Error::invalid(format!(
                "{}: queries.f32 and truth.u32, with {NEAREST} rows a query, do not belong together",
                folder.display()
            )));
        }
        let dimension = queries.len() / num_queries;
        let nearest = truth.chunks_exact(NEAREST).map(|rows| rows[0] as usize).collect();
        Ok(Self { gallery, rows: bytes / (size_of::<f32>() * dimension), dimension, queries, nearest })
    }

    /// Errors unless the vectors have `dimension` numbers.
    pub(super) fn check_dimension(&self, dimension: usize) -> Result<()> {
        if self.dimension == dimension {
            return Ok(());
        }
        Err(Error::invalid(format!("the vectors have {} numbers, those of the model {dimension}", self.dimension)))
    }

    /// All rows, in order.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
        let file = File::open(&self.gallery).map_err(|error| unreadable(&self.gallery, error))?;
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut bytes = vec![0; size_of::<f32>() * self.dimension];
        Ok((0..self.rows).map(move |_| {
            file.read_exact(&mut bytes).map_err(|error| unreadable(&self.gallery, error))?;
            Ok(bytes.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
        }))
    }
}

fn words(path: &Path) -> Result<Vec<[u8; 4]>> {
    Ok(read_file(path)?.as_chunks().0.to_vec())
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("{}: cannot be read", path.display())).with_source(error)
}

/// Whose a row is.
pub(super) fn person(row: usize) -> Result<PersonId> {
    format!("person-{row}").parse()
}

/// A sample with a vector that is ready, and with measures that nobody looks at.
pub(super) fn sample(person: PersonId, model: &ModelId, vector: Vec<f32>) -> FaceSample {
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    FaceSample { id: FaceId::generate(), person, model: model.clone(), vector, score: 0.9, quality, source: None }
}
