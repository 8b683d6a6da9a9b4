//! Folders that only this user can write.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::CacheError;

/// Longest accepted name of an engine.
const NAME: usize = 64;

/// Accepts what can be one component of a path and nothing else.
pub(crate) fn check_name(name: &str) -> Result<(), CacheError> {
    let fits = (1..=NAME).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if fits {
        Ok(())
    } else {
        Err(CacheError::Name {
            name: name.to_owned(),
        })
    }
}

/// Makes the folder where it is missing, and checks that nobody else can write it.
pub(crate) fn make(folder: &Path) -> Result<(), CacheError> {
    // Others may look at the cache; `recursive` also accepts a folder that is there.
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(CacheError::at(folder))?;
    // Not through a link: that could be pointed elsewhere later.
    let found = fs::symlink_metadata(folder).map_err(CacheError::at(folder))?;
    if !found.is_dir() {
        return Err(CacheError::at(folder)(io::ErrorKind::NotADirectory.into()));
    }
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let expected = nix::unistd::geteuid().as_raw();
    if owner != expected || mode & 0o022 != 0 {
        return Err(CacheError::Untrusted {
            path: folder.to_owned(),
            owner,
            mode,
            expected,
        });
    }
    Ok(())
}

/// Makes a rename in the folder outlive a crash of the machine.
pub(crate) fn flush(folder: &Path) -> Result<(), CacheError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(CacheError::at(folder))
}

/// The paths of all that is in a folder. None where there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries.map_err(CacheError::at(folder))?,
    };
    entries
        .map(|entry| Ok(entry.map_err(CacheError::at(folder))?.path()))
        .collect()
}
