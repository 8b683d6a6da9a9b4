//! Single flight: one process at a time works for one digest.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::{CacheError, remove};

/// The right to compile one digest, until it is dropped or its process ends.
#[derive(Debug)]
pub(crate) struct Flight {
    path: PathBuf,
    _locked: File,
}

impl Flight {
    /// Waits until nobody else has it.
    pub(crate) fn begin(path: PathBuf) -> Result<Self, CacheError> {
        loop {
            let file = File::create(&path).map_err(CacheError::at(&path))?;
            file.lock().map_err(CacheError::at(&path))?;
            // The one before may have removed the file while this one waited for it.
            if is_at(&file, &path).map_err(CacheError::at(&path))? {
                return Ok(Self {
                    path,
                    _locked: file,
                });
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Still locked here, so nobody else can have begun with this file.
        if let Err(error) = remove(&self.path) {
            log::warn!(error:% = error; "the lock of a compilation stays");
        }
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let named = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        named => named?,
    };
    let opened = file.metadata()?;
    Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino()))
}
