//! What the cache hands out.

use std::fs::File;
use std::path::{Path, PathBuf};

/// A whole, verified entry: compiled code, followed by its seal. Open only for reading.
///
/// It holds a shared lock on its file, and eviction passes over what is locked. The lock belongs to the
/// open file, not to this value or its process: it lasts until the last descriptor of it is closed, so it
/// is inherited by `fork` and kept by [`File::try_clone`]. A container that keeps a descriptor for its
/// whole life keeps its entry in the cache for as long.
///
/// A container that keeps only the mapping loses nothing but the place: no entry is ever written or cut
/// again once it has its name. At worst it is unlinked, and then mapping and open descriptors stay valid,
/// and the space on the disk is freed with the last of them.
#[derive(Debug)]
pub struct Entry {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Entry {
    /// The open file. The seal behind the code does not disturb a reader of ELF.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The open file alone, which keeps the lock.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }

    /// Where it stands, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
