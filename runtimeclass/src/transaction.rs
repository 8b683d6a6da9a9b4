//! Changes to files that can all be undone, byte for byte.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::write;

/// A file as it was.
#[derive(Debug)]
struct Before {
    path: PathBuf,
    /// Bytes and mode; `None` where there was no file.
    content: Option<(Vec<u8>, u32)>,
}

/// A file that could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}")]
pub struct ChangeError {
    /// What was to be done.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// The changes made so far.
#[derive(Debug, Default)]
pub struct Transaction {
    files: Vec<Before>,
    folders: Vec<PathBuf>,
}

impl Transaction {
    /// Writes `bytes` to `path` unless they stand there already, and makes the folders above. Returns
    /// whether anything changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<bool, ChangeError> {
        let failed = |source| ChangeError {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let before = remembered(path).map_err(failed)?;
        if before.content.as_ref().is_some_and(|(old, _)| old == bytes) {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            self.folders
                .extend(write::make_folders(folder).map_err(failed)?);
        }
        self.files.push(before);
        write::replace(path, bytes, mode).map_err(failed)?;
        Ok(true)
    }

    /// Removes the file `path`.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&mut self, path: &Path) -> Result<(), ChangeError> {
        let failed = |source| ChangeError {
            action: "remove",
            path: path.to_owned(),
            source,
        };
        self.files.push(remembered(path).map_err(failed)?);
        write::remove(path).map_err(failed)
    }

    /// The folders that were made, the outermost first.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Restores every file and removes every folder that was made.
    ///
    /// # Errors
    /// The first file that cannot be restored; the others are restored nevertheless.
    pub fn roll_back(self) -> Result<(), ChangeError> {
        let mut first = Ok(());
        for Before { path, content } in self.files.into_iter().rev() {
            let restored = match content {
                Some((bytes, mode)) => write::replace(&path, &bytes, mode),
                None => write::remove(&path),
            };
            let restored = restored.map_err(|source| ChangeError {
                action: "restore",
                path,
                source,
            });
            first = first.and(restored);
        }
        remove_empty(self.folders.iter().rev());
        first
    }
}

/// Removes those of `folders` that are empty, in this order. One that somebody else uses by now stays.
pub fn remove_empty<'f>(folders: impl Iterator<Item = &'f PathBuf>) {
    for folder in folders {
        if let Err(error) = fs::remove_dir(folder) {
            tracing::debug!(folder = %folder.display(), %error, "folder stays");
        }
    }
}

fn remembered(path: &Path) -> io::Result<Before> {
    let content = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some((read?, fs::metadata(path)?.mode())),
    };
    Ok(Before {
        path: path.to_owned(),
        content,
    })
}
