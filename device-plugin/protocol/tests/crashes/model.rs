//! A file system in memory, whose users can be stopped before each operation.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use coracle_akri_protocol::Files;

#[derive(Debug)]
enum Node {
    Folder,
    File(usize),
}

/// What is on the disk. Contents are apart from names: an open file stays when its name goes.
#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    contents: Vec<Vec<u8>>,
}

/// The disk, which outlives its users.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model(Arc<Mutex<Tree>>);

/// Called before each operation; an error stops the user.
pub(crate) type Gate = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// One process's view of the disk.
#[derive(Clone)]
pub(crate) struct User {
    model: Model,
    gate: Gate,
    /// How many bytes one write takes.
    chunk: usize,
}

pub(crate) struct Open {
    user: User,
    content: usize,
}

impl Model {
    /// A disk with the folder `root`.
    pub(crate) fn new(root: &str) -> Self {
        let model = Self::default();
        let mut tree = model.0.lock().unwrap();
        tree.nodes.insert(root.into(), Node::Folder);
        drop(tree);
        model
    }

    pub(crate) fn user(&self, gate: Gate, chunk: usize) -> User {
        User {
            model: self.clone(),
            gate,
            chunk,
        }
    }

    /// A user that nothing stops.
    pub(crate) fn free(&self) -> User {
        self.user(Arc::new(|| Ok(())), usize::MAX)
    }
}

fn below(tree: &Tree, path: &Path) -> Vec<PathBuf> {
    let children = tree.nodes.keys().filter(|key| key.parent() == Some(path));
    children.cloned().collect()
}

impl Tree {
    fn require_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().and_then(|parent| self.nodes.get(parent)) {
            Some(Node::Folder) => Ok(()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Files for User {
    type File = Open;

    fn create(&self, path: &Path) -> io::Result<Open> {
        (self.gate)()?;
        let mut tree = self.model.0.lock().unwrap();
        tree.require_parent(path)?;
        let content = match tree.nodes.get(path) {
            Some(Node::Folder) => return Err(ErrorKind::IsADirectory.into()),
            Some(Node::File(content)) => *content,
            None => tree.contents.len(),
        };
        if content == tree.contents.len() {
            tree.contents.push(Vec::new());
            tree.nodes.insert(path.to_owned(), Node::File(content));
        }
        tree.contents[content].clear();
        Ok(Open {
            user: self.clone(),
            content,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.gate)()?;
        let mut tree = self.model.0.lock().unwrap();
        tree.require_parent(to)?;
        if !below(&tree, to).is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let node = tree.nodes.remove(from).ok_or(ErrorKind::NotFound)?;
        for child in below(&tree, from) {
            let node = tree.nodes.remove(&child).unwrap();
            let name = child.file_name().unwrap();
            tree.nodes.insert(to.join(name), node);
        }
        tree.nodes.insert(to.to_owned(), node);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        (self.gate)()?;
        let tree = self.model.0.lock().unwrap();
        match tree.nodes.get(path) {
            Some(Node::File(content)) => Ok(tree.contents[*content].clone()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        (self.gate)()?;
        let tree = self.model.0.lock().unwrap();
        tree.nodes.get(path).ok_or(ErrorKind::NotFound)?;
        let names = below(&tree, path).into_iter();
        Ok(names
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        (self.gate)()?;
        let mut tree = self.model.0.lock().unwrap();
        tree.require_parent(path)?;
        if tree.nodes.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        tree.nodes.insert(path.to_owned(), Node::Folder);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.gate)()?;
        let removed = self.model.0.lock().unwrap().nodes.remove(path);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        (self.gate)()?;
        let mut tree = self.model.0.lock().unwrap();
        if !below(&tree, path).is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let removed = tree.nodes.remove(path);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.user.gate)()?;
        let taken = bytes.len().min(self.user.chunk);
        let mut tree = self.user.model.0.lock().unwrap();
        tree.contents[self.content].extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
