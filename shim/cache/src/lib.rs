//! Compiled wasm on disk, shared by every pod of a node.
//!
//! An entry stands at `<root>/<compatibility>/<sha256 of the wasm>.cwasm`, where the compatibility names
//! the engine that can run it. It is written under a temporary name, sealed, flushed and renamed, so a
//! crash at any point leaves either no entry or a whole one. One process compiles an entry at a time;
//! whoever wants the same one waits for it. An [`Entry`] holds a shared lock on its file for as long as
//! it is kept, and eviction passes over what is locked.
//!
//! Architecture invariant: this crate knows no wasm. What compiles is handed in, and only ever writes to
//! the file that it is given.

mod digest;
mod error;
mod eviction;
mod folder;
mod seal;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use digest::Digest;
pub use error::{CacheError, FetchError};

/// The cache of one engine on one node. Several processes may have it open.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    folder: PathBuf,
    limit: u64,
}

/// A whole, verified entry: compiled code, followed by its seal.
#[derive(Debug)]
pub struct Entry {
    file: File,
    path: PathBuf,
}

impl Entry {
    /// The open file, from its start. The seal behind the code does not disturb an ELF reader.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it stands, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Cache {
    /// Opens the cache below `root`, which is made where it is missing, for the engine that calls itself
    /// `compatibility`. It keeps itself below `limit` bytes, as far as entries are not in use.
    ///
    /// # Errors
    /// When a folder cannot be made, belongs to somebody else, or can be written by others: code in it
    /// could not be trusted.
    pub fn open(root: &Path, compatibility: &str, limit: u64) -> Result<Self, CacheError> {
        folder::check_name(compatibility)?;
        let folder = root.join(compatibility);
        folder::make(root)?;
        folder::make(&folder)?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            limit,
        })
    }

    /// The entry for the wasm with this digest. On a miss, `compile` writes the compiled code into the
    /// file that it is given; a second caller for the same digest waits for the first.
    ///
    /// # Errors
    /// [`FetchError::Compile`] with what `compile` said; nothing is kept then. Otherwise when the cache
    /// cannot be read or written.
    pub fn fetch<E>(
        &self,
        digest: &Digest,
        compile: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<Entry, FetchError<E>> {
        if let Some(entry) = self.find(digest)? {
            return Ok(entry);
        }
        let flight = self.flight(digest)?;
        // Whoever was first may have finished while this one waited.
        if let Some(entry) = self.find(digest)? {
            return Ok(entry);
        }
        let entry = self.add(digest, compile)?;
        drop(flight);
        if let Err(error) = eviction::evict(&self.root, self.limit) {
            log::warn!(error:% = error; "the cache of compiled code cannot be trimmed");
        }
        Ok(entry)
    }

    /// The entry for this digest, if there is a whole one. One that is damaged is removed.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn find(&self, digest: &Digest) -> Result<Option<Entry>, CacheError> {
        let path = self.path(digest);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(CacheError::at(&path))?,
        };
        file.lock_shared().map_err(CacheError::at(&path))?;
        match seal::verify(&file, digest) {
            Ok(()) => {}
            Err(seal::Broken::Unreadable(source)) => return Err(CacheError::at(&path)(source)),
            Err(broken) => {
                log::warn!(path:% = path.display(), reason:% = broken; "a damaged entry is removed");
                remove(&path)?;
                return Ok(None);
            }
        }
        // What was used last is evicted last.
        file.set_modified(SystemTime::now())
            .map_err(CacheError::at(&path))?;
        Ok(Some(Entry { file, path }))
    }

    fn add<E>(
        &self,
        digest: &Digest,
        compile: impl FnOnce(&File) -> Result<(), E>,
    ) -> Result<Entry, FetchError<E>> {
        let path = self.path(digest);
        let partial = tempfile::Builder::new()
            .prefix(PARTIAL)
            .tempfile_in(&self.folder)
            .map_err(CacheError::at(&self.folder))?;
        compile(partial.as_file()).map_err(FetchError::Compile)?;
        seal::seal(partial.as_file(), digest).map_err(CacheError::at(partial.path()))?;
        partial
            .as_file()
            .sync_all()
            .map_err(CacheError::at(partial.path()))?;
        // Opened anew and only for reading: an entry is handed to processes that run foreign code. Locked
        // before it has its name, so that no eviction takes it on the way.
        let file = File::open(partial.path()).map_err(CacheError::at(partial.path()))?;
        file.lock_shared().map_err(CacheError::at(partial.path()))?;
        partial
            .persist(&path)
            .map_err(|error| CacheError::at(&path)(error.error))?;
        folder::flush(&self.folder)?;
        Ok(Entry { file, path })
    }

    /// Waits until nobody else compiles this digest. Ends with the file that is returned, so also with
    /// the process.
    fn flight(&self, digest: &Digest) -> Result<File, CacheError> {
        let path = self.folder.join(format!("{digest}.lock"));
        let file = File::create(&path).map_err(CacheError::at(&path))?;
        file.lock().map_err(CacheError::at(&path))?;
        Ok(file)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{digest}.{EXTENSION}"))
    }
}

/// The extension of entries.
const EXTENSION: &str = "cwasm";

/// How the names of unfinished entries begin.
const PARTIAL: &str = ".partial-";

/// Removes a file, where there is one.
fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CacheError::at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
