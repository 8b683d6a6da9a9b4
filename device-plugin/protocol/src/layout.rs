//! What lies where in the shared folder.

use std::path::{Path, PathBuf};

use crate::ProtocolError;

/// The longest name of a request.
const LONGEST_ID: usize = 64;

/// One of the two that speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The proxy.
    Asker,
    /// The handler.
    Answerer,
}

/// The paths in one shared folder.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of the shared folder `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The shared folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with a folder for each request.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.root.join("requests")
    }

    /// The folder of requests that were withdrawn and are being deleted.
    #[must_use]
    pub fn removed(&self) -> PathBuf {
        self.root.join("removed")
    }

    /// The folder with a sign of life of each side.
    #[must_use]
    pub fn alive(&self) -> PathBuf {
        self.root.join("alive")
    }

    /// The sign of life of `side`.
    #[must_use]
    pub fn beat(&self, side: Side) -> PathBuf {
        self.alive().join(match side {
            Side::Asker => "proxy.json",
            Side::Answerer => "handler.json",
        })
    }

    /// The folder of request `id`.
    #[must_use]
    pub fn folder(&self, id: &str) -> PathBuf {
        self.requests().join(id)
    }

    /// The question of request `id`.
    #[must_use]
    pub fn request(&self, id: &str) -> PathBuf {
        self.folder(id).join("request.json")
    }

    /// The answer to request `id`.
    #[must_use]
    pub fn answer(&self, id: &str) -> PathBuf {
        self.folder(id).join("answer.json")
    }

    /// Where request `id` of this generation goes while it is deleted.
    pub(crate) fn withdrawn(&self, id: &str, generation: u64) -> PathBuf {
        self.removed().join(format!("{id}.{generation}"))
    }

    pub(crate) fn folders(&self) -> [PathBuf; 3] {
        [self.requests(), self.removed(), self.alive()]
    }
}

/// The name of a file of `path` that is not finished yet.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Whether `id` can name a request.
pub(crate) fn is_id(id: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(part)
}

pub(crate) fn check_id(id: &str) -> Result<(), ProtocolError> {
    if is_id(id) {
        return Ok(());
    }
    Err(ProtocolError::Id { id: id.to_owned() })
}
