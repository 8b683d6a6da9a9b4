//! The hash of everything that goes into a guest or a toolchain.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cache::CacheError;

/// Collects inputs. Each is hashed with its length, so that no two lists of inputs run into the same bytes.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    /// A file, or a folder with all that is in it; the names below the folder count, the place does not.
    pub(crate) fn path(&mut self, path: &Path) -> Result<(), CacheError> {
        if !path.is_dir() {
            self.bytes(&fs::read(path).map_err(CacheError::at(path))?);
            return Ok(());
        }
        let mut entries = fs::read_dir(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(CacheError::at(path))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        self.bytes(&entries.len().to_le_bytes());
        for entry in entries {
            self.bytes(entry.file_name().as_encoded_bytes());
            self.path(&entry.path())?;
        }
        Ok(())
    }

    /// Twelve hexadecimal digits: short in a file name, and enough among a few hundred files.
    pub(crate) fn finish(self) -> String {
        let mut hex = String::new();
        for byte in self.0.finalize().iter().take(6) {
            // A string takes all that is written.
            let _infallible = write!(hex, "{byte:02x}");
        }
        hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folder: &Path) -> String {
        let mut fingerprint = Fingerprint::new();
        fingerprint.path(folder).unwrap();
        fingerprint.finish()
    }

    #[test]
    fn changes_with_every_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rs");
        fs::write(&file, "fn main() {}").unwrap();
        let before = of(folder.path());
        assert_eq!(before, of(folder.path()));

        fs::write(&file, "fn main() { }").unwrap();
        let edited = of(folder.path());
        fs::rename(&file, folder.path().join("b.rs")).unwrap();
        let renamed = of(folder.path());
        fs::write(folder.path().join("c.rs"), "").unwrap();
        let added = of(folder.path());
        let all = [before, edited, renamed, added];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{all:?}");
        }
    }

    #[test]
    fn does_not_depend_on_the_place() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(one.path().join("a"), "x").unwrap();
        fs::write(other.path().join("a"), "x").unwrap();
        assert_eq!(of(one.path()), of(other.path()));
    }
}
