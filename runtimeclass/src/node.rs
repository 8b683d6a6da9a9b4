//! The node's file system, seen from a container or from a test's folder.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// More links than this on one way are a loop, as for the kernel.
const MAX_LINKS: usize = 40;

/// The folder where the node's `/` stands. All paths that it takes are absolute paths of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRoot(PathBuf);

impl NodeRoot {
    /// The node whose `/` is `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Where `path` of the node stands here. Links are followed as the node follows them: an absolute link
    /// starts at the node's root, and nothing leads out of it.
    ///
    /// # Errors
    /// For a loop of links.
    pub fn at(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let mut found = self.0.clone();
        let mut depth = 0_usize;
        let mut links = 0;
        let mut ahead: VecDeque<PathBuf> = steps(path.as_ref()).collect();
        while let Some(step) = ahead.pop_front() {
            if step.as_os_str() == "/" {
                found.clone_from(&self.0);
                depth = 0;
            } else if step.as_os_str() == ".." {
                if depth > 0 {
                    found.pop();
                    depth -= 1;
                }
            } else {
                found.push(&step);
                depth += 1;
                if let Ok(target) = fs::read_link(&found) {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
                    }
                    found.pop();
                    depth -= 1;
                    for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                        ahead.push_front(step);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Whether the node has something at `path`.
    #[must_use]
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).is_ok_and(|path| path.exists())
    }

    /// The bytes of the node's file `path`; `None` where there is no such file.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.at(path)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
}

fn steps(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.components().filter_map(|component| match component {
        Component::CurDir => None,
        other => Some(PathBuf::from(other.as_os_str())),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let root = NodeRoot::new(folder.path().to_owned());
        fs::create_dir_all(folder.path().join("snap/42")).unwrap();
        symlink("42", folder.path().join("snap/current")).unwrap();
        symlink("/snap/current", folder.path().join("args")).unwrap();
        symlink("../../../../snap", folder.path().join("up")).unwrap();
        let expected = folder.path().join("snap/42/x.toml");
        assert_eq!(root.at("/snap/current/x.toml").unwrap(), expected);
        assert_eq!(root.at("/args/x.toml").unwrap(), expected);
        assert_eq!(root.at("/up/current/./x.toml").unwrap(), expected);
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let root = NodeRoot::new(folder.path().to_owned());
        symlink("/b", folder.path().join("a")).unwrap();
        symlink("/a", folder.path().join("b")).unwrap();
        assert!(root.at("/a").is_err());
    }
}
