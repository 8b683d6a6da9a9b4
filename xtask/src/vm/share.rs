//! The folder that the machine shares with the task: its orders go in, status and logs come out.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, bail};

use super::keeper;
use crate::build;

/// What the folders of all runs begin with, before the id of the task's process.
const PREFIX: &str = "coracle-vm-";

/// Files of `integration/vm` that the machine finds in the folder.
const FILES: [&str; 4] = ["plain", "run", "coracle.target", "coracle.service"];

/// The folder of one run. It is removed when this is dropped; the keeper does it where the task is killed.
pub(super) struct Share {
    folder: PathBuf,
}

impl Share {
    /// An empty folder; what killed runs left behind is removed.
    ///
    /// # Errors
    /// When a folder cannot be made or removed.
    pub(super) fn new() -> anyhow::Result<Self> {
        sweep().context("remove what earlier runs left behind")?;
        let folder = env::temp_dir().join(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file or folder in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts in what the machine needs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn fill(&self, work: &str, environment: &str) -> anyhow::Result<()> {
        let scripts = build::root().join("integration/vm");
        for name in FILES {
            fs::copy(scripts.join(name), self.path(name))
                .with_context(|| format!("copy integration/vm/{name}"))?;
        }
        fs::create_dir(self.path("logs"))?;
        fs::write(self.path("work"), work)?;
        fs::write(self.path("environment"), environment)?;
        Ok(())
    }

    /// Whether the work has ended well.
    ///
    /// # Errors
    /// When it has not, or has not ended.
    pub(super) fn result(&self) -> anyhow::Result<()> {
        match fs::read_to_string(self.path("status")) {
            Ok(status) if status.trim() == "0" => Ok(()),
            Ok(status) => bail!("the work in the machine ended with {}", status.trim()),
            Err(_missing) => bail!("the machine went off before its work was done"),
        }
    }

    /// Copies what tells why it failed to the target folder, and names the place.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub(super) fn keep(&self) -> anyhow::Result<PathBuf> {
        let name = self.folder.file_name().unwrap_or_default();
        let kept = build::target().join("vm-logs").join(name);
        copy_all(&self.path("logs"), &kept)?;
        for name in ["console.log", "work"] {
            let file = self.path(name);
            if file.exists() {
                fs::copy(file, kept.join(name))?;
            }
        }
        Ok(kept)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        drop(keeper::remove(&self.folder));
    }
}

/// Removes the folders of tasks that are no more.
fn sweep() -> anyhow::Result<()> {
    for entry in fs::read_dir(env::temp_dir())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(id) = name.and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if !Path::new("/proc").join(id).exists() {
            keeper::remove(&path)?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
