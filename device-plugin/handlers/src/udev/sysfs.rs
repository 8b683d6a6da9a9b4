//! The devices of one subsystem in sysfs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// One device.
#[derive(Debug)]
pub(super) struct Entry {
    folder: PathBuf,
    /// Its path below sysfs, beginning with `/devices`, which no other device has.
    pub(super) devpath: String,
    /// The lines of its `uevent`.
    pub(super) uevent: BTreeMap<String, String>,
}

impl Entry {
    /// The content of one of its files, without the end of the line.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let text = fs::read(self.folder.join(name)).ok()?;
        Some(String::from_utf8_lossy(&text).trim_end().to_owned())
    }
}

/// The devices of a class or bus. A subsystem that is not there has none: its driver is not loaded yet.
pub(super) fn entries(sysfs: &Path, subsystem: &str) -> io::Result<Vec<Entry>> {
    // Else a sysfs that is not mounted would look like a node without devices.
    fs::metadata(sysfs)?;
    let class = sysfs.join("class").join(subsystem);
    let bus = sysfs.join("bus").join(subsystem).join("devices");
    let folder = match fs::read_dir(&class) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::read_dir(&bus),
        listed => listed,
    };
    let listed = match folder {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut entries = Vec::new();
    for link in listed {
        let folder = link?.path();
        // A device may go while it is looked at.
        if let Some(entry) = entry(sysfs, folder) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn entry(sysfs: &Path, folder: PathBuf) -> Option<Entry> {
    let text = fs::read(folder.join("uevent")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let uevent = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let devpath = devpath(sysfs, &folder);
    Some(Entry {
        folder,
        devpath,
        uevent,
    })
}

/// Where the link of a device leads to, as a path below sysfs. WASI cannot make paths canonical, so this counts
/// the steps itself.
fn devpath(sysfs: &Path, folder: &Path) -> String {
    let target = fs::read_link(folder).unwrap_or_default();
    let mut path = folder.parent().unwrap_or(folder).to_owned();
    for component in target.components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    // A folder that is no link, as in a sysfs from before 2.6.25, stands for itself.
    let path = if target.as_os_str().is_empty() {
        folder.to_owned()
    } else {
        path
    };
    let below = path.strip_prefix(sysfs).unwrap_or(&path);
    format!("/{}", below.display())
}
