//! Whose photo a file is, by its name.

use std::{collections::HashMap, path::PathBuf};

use bytes::Bytes;

use super::archive::{Archive, Entry};
use crate::{domain::jobs::Fault, error::Result};

/// A photo that has not been read yet.
#[derive(Clone)]
pub struct PhotoFile {
    /// The file's name, without its folders.
    pub name: String,
    /// Where it is.
    pub place: PhotoPlace,
}

/// Where a photo is.
#[derive(Clone)]
pub enum PhotoPlace {
    /// An entry of a ZIP file.
    Zipped(Archive, usize),
    /// A file of its own, on the machine of whoever runs the command.
    File(PathBuf),
}

impl PhotoFile {
    /// Its bytes. The inner error is the photo's own fault.
    pub async fn read(&self, max_bytes: u64) -> Result<Result<Bytes, Fault>> {
        match &self.place {
            PhotoPlace::Zipped(archive, index) => archive.read(*index, max_bytes).await,
            PhotoPlace::File(path) => Ok(read_file(path.clone(), max_bytes).await),
        }
    }
}

async fn read_file(path: PathBuf, max_bytes: u64) -> Result<Bytes, Fault> {
    let unreadable = |error| Fault { code: "unreadable".into(), message: format!("cannot be read: {error}") };
    if tokio::fs::metadata(&path).await.map_err(unreadable)?.len() > max_bytes {
        let message = format!("an image is at most {max_bytes} bytes");
        return Err(Fault { code: "image_too_large".into(), message });
    }
    tokio::fs::read(&path).await.map(Bytes::from).map_err(unreadable)
}

/// The photos of a ZIP file by the number of the row whose id they are named after.
pub(crate) struct Assigned {
    by_row: HashMap<u64, Vec<(usize, String)>>,
    /// Files that belong to no row.
    pub(crate) strays: u64,
}

impl Assigned {
    /// A photo is `ID/anything.jpg` or `ID.jpg`, in one further folder or in none. Ids may hold slashes themselves.
    pub(crate) fn new(entries: Vec<Entry>, rows: &HashMap<String, u64>) -> Self {
        let mut assigned = Self { by_row: HashMap::new(), strays: 0 };
        for Entry { index, name, .. } in entries {
            let inner = name.split_once('/').map(|(_, inner)| inner);
            let row = [Some(name.as_str()), inner].into_iter().flatten().find_map(|path| owner(path, rows));
            let short = name.rsplit('/').next().unwrap_or_default().to_owned();
            match row {
                Some(row) => assigned.by_row.entry(row).or_default().push((index, short)),
                None => assigned.strays += 1,
            }
        }
        assigned
    }

    /// The photos of a row, in the order of their names.
    pub(crate) fn take(&mut self, row: u64, archive: &Archive) -> Vec<PhotoFile> {
        let mut photos = self.by_row.remove(&row).unwrap_or_default();
        photos.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
        let file = |(index, name)| PhotoFile { name, place: PhotoPlace::Zipped(archive.clone(), index) };
        photos.into_iter().map(file).collect()
    }
}

/// The row of whom `path` is a photo.
fn owner(path: &str, rows: &HashMap<String, u64>) -> Option<u64> {
    let folder = path.rsplit_once('/').and_then(|(folder, _)| rows.get(folder));
    folder.or_else(|| rows.get(path.rsplit_once('.')?.0)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_is_of_the_row_that_its_folder_or_its_name_says() {
        let rows = [("ada", 0), ("2024/cs-1", 1), ("jane.doe", 2)].map(|(id, row)| (id.to_owned(), row)).into();
        for (path, expected) in [
            ("ada/1.jpg", Some(0)),
            ("ada.jpg", Some(0)),
            ("photos/ada/x.y.png", Some(0)),
            ("photos/ada.JPEG", Some(0)),
            ("2024/cs-1/a.jpg", Some(1)),
            ("2024/cs-1.jpg", Some(1)),
            ("all/2024/cs-1/a.jpg", Some(1)),
            ("jane.doe.jpg", Some(2)),
            ("jane.jpg", None),
            ("ada", None),
            ("../ada/../x.jpg", None),
            ("a/b/ada/1.jpg", None),
        ] {
            let entry = Entry { index: 5, name: path.to_owned(), modified: None };
            let assigned = Assigned::new(vec![entry], &rows);
            assert_eq!(assigned.by_row.keys().next().copied(), expected, "{path}");
            assert_eq!(assigned.strays, u64::from(expected.is_none()), "{path}");
        }
    }
}
