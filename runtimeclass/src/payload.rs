//! The programs that are put on a node: whatever lies in one folder of the image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::binary::SHIM;

/// The programs of a folder, by their names. The shim is the last one: containerd starts a new shim only once
/// everything that it needs is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    folder: PathBuf,
    names: Vec<String>,
}

/// Why a folder is no payload.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Something in it cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The folder, or a program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it is no program.
    #[error("{path} is no file; accepted: a folder that holds programs and nothing else")]
    NoFile {
        /// What is none.
        path: PathBuf,
    },
    /// The shim is not there.
    #[error("no {SHIM} in {folder}; it holds: {names}")]
    NoShim {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        names: String,
    },
}

impl Payload {
    /// The payload in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be read, holds something that is no file, or does not hold the shim.
    pub fn of(folder: &Path) -> Result<Self, PayloadError> {
        let unreadable = |path: &Path, source| PayloadError::Read {
            path: path.to_owned(),
            source,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
            let path = entry.map_err(|source| unreadable(folder, source))?.path();
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) if path.is_file() => names.push(name.to_owned()),
                _ => return Err(PayloadError::NoFile { path }),
            }
        }
        names.sort_unstable_by_key(|name| (name == SHIM, name.clone()));
        if names.last().is_none_or(|last| last != SHIM) {
            return Err(PayloadError::NoShim {
                folder: folder.to_owned(),
                names: names.join(", "),
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            names,
        })
    }

    /// The programs' names, in the order in which they are installed.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A program's bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, PayloadError> {
        let path = self.folder.join(name);
        fs::read(&path).map_err(|source| PayloadError::Read { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_comes_last_and_cannot_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("coracle-compile"), "c").unwrap();
        let refused = Payload::of(path).unwrap_err().to_string();
        assert!(refused.ends_with("it holds: coracle-compile"), "{refused}");
        fs::write(path.join(SHIM), "s").unwrap();
        fs::write(path.join("zzz"), "z").unwrap();
        let payload = Payload::of(path).unwrap();
        assert_eq!(payload.names(), ["coracle-compile", "zzz", SHIM]);
        assert_eq!(payload.read("zzz").unwrap(), b"z");
        fs::create_dir(path.join("more")).unwrap();
        let refused = Payload::of(path).unwrap_err().to_string();
        assert!(refused.contains("more is no file"), "{refused}");
    }
}
