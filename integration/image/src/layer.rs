//! Tar layers that come out the same byte for byte from the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use tar::{Builder, EntryType, Header};

/// One thing in a root file system.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    File { mode: u32, bytes: Vec<u8> },
    Folder { mode: u32 },
    Link { target: PathBuf },
}

/// A tar archive of `entries`, sorted by path, with the folders that lead to them, owned by root, without times.
pub(super) fn archive(entries: &BTreeMap<PathBuf, Entry>) -> Result<Vec<u8>> {
    let mut all: BTreeMap<&Path, Entry> = parents(entries)
        .into_iter()
        .map(|folder| (folder, Entry::Folder { mode: 0o755 }))
        .collect();
    all.extend(
        entries
            .iter()
            .map(|(path, entry)| (path.as_path(), entry.clone())),
    );
    let mut archive = Builder::new(Vec::new());
    for (path, entry) in all {
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match entry {
            Entry::File { mode, bytes } => {
                header.set_mode(mode);
                header.set_size(u64::try_from(bytes.len())?);
                archive.append_data(&mut header, path, bytes.as_slice())?;
            }
            Entry::Folder { mode } => {
                header.set_mode(mode);
                header.set_entry_type(EntryType::Directory);
                archive.append_data(&mut header, path, std::io::empty())?;
            }
            Entry::Link { target } => {
                header.set_mode(0o777);
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, path, target)?;
            }
        }
    }
    Ok(archive.into_inner()?)
}

fn parents(entries: &BTreeMap<PathBuf, Entry>) -> BTreeSet<&Path> {
    entries
        .keys()
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_its_entries_alone() {
        let entries = BTreeMap::from([
            (
                PathBuf::from("b/c"),
                Entry::File {
                    mode: 0o644,
                    bytes: b"two".to_vec(),
                },
            ),
            (
                PathBuf::from("a"),
                Entry::Link {
                    target: "b/c".into(),
                },
            ),
        ]);
        let archived = archive(&entries).unwrap();
        assert_eq!(archived, archive(&entries).unwrap());
        let mut read = tar::Archive::new(archived.as_slice());
        let names: Vec<_> = read
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().into_owned())
            .collect();
        assert_eq!(names, ["a", "b", "b/c"].map(PathBuf::from));
    }
}
