//! Keeping the cache below its limit: what was used last stays longest.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{CacheError, EXTENSION, PARTIAL, remove};

/// After this time an unfinished entry belongs to nobody: no compilation is allowed to take as long.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

struct Candidate {
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Removes entries of all engines, the one unused for longest first, until what is left is below `limit`
/// bytes. Entries that somebody has open stay; so does whatever is not this cache's.
pub(crate) fn evict(root: &Path, limit: u64) -> Result<(), CacheError> {
    let mut candidates = Vec::new();
    for folder in entries(root)? {
        for path in entries(&folder)? {
            candidates.extend(candidate(path)?);
        }
    }
    candidates.sort_by_key(|candidate| candidate.used);
    let mut total: u64 = candidates.iter().map(|candidate| candidate.size).sum();
    for candidate in candidates {
        if total <= limit {
            break;
        }
        if remove_unused(&candidate.path)? {
            log::info!(path:% = candidate.path.display(); "evicted");
            total -= candidate.size;
        }
    }
    Ok(())
}

/// An entry with its size and last use. An unfinished one that was abandoned is removed on the way.
fn candidate(path: PathBuf) -> Result<Option<Candidate>, CacheError> {
    let found = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(CacheError::at(&path))?,
    };
    let used = found.modified().map_err(CacheError::at(&path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(PARTIAL) && used.elapsed().is_ok_and(|age| age > ABANDONED) {
        remove(&path)?;
    }
    let is_entry = path
        .extension()
        .is_some_and(|extension| extension == EXTENSION);
    Ok((is_entry && found.is_file()).then_some(Candidate {
        path,
        size: found.len(),
        used,
    }))
}

/// Removes an entry unless somebody holds it; answers whether it is gone.
fn remove_unused(path: &Path) -> Result<bool, CacheError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        file => file.map_err(CacheError::at(path))?,
    };
    match file.try_lock() {
        Ok(()) => remove(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(CacheError::at(path)(source)),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
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
