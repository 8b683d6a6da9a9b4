//! A node in a temporary folder, and a containerd that is only a state.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::cri::CriError;
use crate::distribution::Distribution;
use crate::host::{Host, HostError};
use crate::installer::{InstallError, Installer, Outcome, Settings};
use crate::node::NodeRoot;
use crate::payload::Payload;
use crate::plan::MAIN;

/// What the shim holds.
pub(super) const SHIM: &str = "shim 1";

/// A configuration of containerd 1.x as an operator may have written it.
pub(super) const CONFIG_V2: &str = "# by hand\nversion = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"pause:9\"\n";

/// How the fake containerd behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should.
    Well,
    /// Refuses every configuration that it is shown.
    Refuses,
    /// Runs, and does not load the handler.
    Ignores,
    /// Does not come back from the first restart.
    DownOnce,
    /// Does not come back at all.
    Dead,
}

/// The state of the fake containerd.
#[derive(Debug)]
pub(super) struct FakeHost {
    pub(super) mood: Cell<Mood>,
    pub(super) restarts: Cell<u32>,
    pub(super) loaded: Cell<bool>,
    pub(super) pods: Cell<u32>,
    /// Where the entry has to be for it to be loaded, as containerd reads it.
    node: NodeRoot,
}

impl FakeHost {
    /// Whether any file of the node below the folders of configurations holds the entry.
    fn finds_entry(&self) -> bool {
        files(self.node.folder()).iter().any(|(path, (bytes, _))| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.ends_with(".toml") || name.ends_with(".tmpl"))
                && String::from_utf8_lossy(bytes).contains("io.containerd.coracle.v1")
        })
    }
}

impl Host for FakeHost {
    fn dump(&self, _: Distribution, config: &Path) -> Result<Option<String>, HostError> {
        if self.mood.get() == Mood::Refuses {
            return Err(HostError::Failed {
                command: "containerd config dump".to_owned(),
                status: "exit status: 1".to_owned(),
                said: "no".to_owned(),
            });
        }
        let main = fs::read_to_string(self.node.at(config).unwrap()).unwrap();
        let document: toml_edit::DocumentMut = main.parse().unwrap();
        let imports = document.get("imports").and_then(toml_edit::Item::as_array);
        let mut dump = main.clone();
        for import in imports.into_iter().flatten().filter_map(|one| one.as_str()) {
            // Only complete paths: the folders of these nodes are empty.
            if let Ok(text) = fs::read_to_string(self.node.at(import).unwrap()) {
                dump = text;
            }
        }
        Ok(Some(dump))
    }

    fn restart(&self, _: Distribution) -> Result<(), HostError> {
        self.restarts.set(self.restarts.get() + 1);
        self.loaded.set(self.finds_entry());
        Ok(())
    }

    fn handlers(&self, socket: &Path) -> Result<Vec<String>, HostError> {
        let down = match self.mood.get() {
            Mood::DownOnce => self.restarts.get() == 1,
            Mood::Dead => self.restarts.get() > 0,
            _ => false,
        };
        if down {
            return Err(HostError::Cri(CriError::Path {
                path: socket.to_owned(),
                source: std::io::ErrorKind::ConnectionRefused.into(),
            }));
        }
        let mut names = vec!["runc".to_owned()];
        if self.loaded.get() && self.mood.get() != Mood::Ignores {
            names.insert(0, "coracle".to_owned());
        }
        Ok(names)
    }

    fn shims(&self) -> Result<Vec<i32>, HostError> {
        Ok((0..self.pods.get()).map(|_| 4711).collect())
    }
}

/// A node, and the payload to install on it.
#[derive(Debug)]
pub(super) struct Fake {
    node: TempDir,
    image: TempDir,
    pub(super) host: FakeHost,
    pub(super) settings: Settings,
}

impl Fake {
    pub(super) fn empty() -> Self {
        let node = tempfile::tempdir().unwrap();
        let image = tempfile::tempdir().unwrap();
        fs::write(image.path().join(crate::binary::SHIM), SHIM).unwrap();
        let host = FakeHost {
            mood: Cell::new(Mood::Well),
            restarts: Cell::new(0),
            loaded: Cell::new(false),
            pods: Cell::new(0),
            node: NodeRoot::new(node.path().to_owned()),
        };
        // The lock stays: `/run` is emptied at every start of a node.
        fs::create_dir(node.path().join("run")).unwrap();
        fs::write(node.path().join("run/coracle-node-installer.lock"), "").unwrap();
        let settings = Settings {
            timeout: Duration::from_millis(1),
            ..Settings::default()
        };
        Self {
            node,
            image,
            host,
            settings,
        }
    }

    pub(super) fn containerd() -> Self {
        let fake = Self::empty();
        fake.write(MAIN, CONFIG_V2);
        fake
    }

    pub(super) fn payload(&self) -> Payload {
        Payload::of(self.image.path()).unwrap()
    }

    /// Puts a program into the payload.
    pub(super) fn offer(&self, program: &str, text: &str) {
        fs::write(self.image.path().join(program), text).unwrap();
    }

    /// Takes a program out of the payload.
    pub(super) fn withdraw(&self, program: &str) {
        fs::remove_file(self.image.path().join(program)).unwrap();
    }

    pub(super) fn installer(&self) -> Installer<'_, FakeHost> {
        let node = NodeRoot::new(self.node.path().to_owned());
        Installer::new(node, &self.host, self.settings.clone())
    }

    pub(super) fn install(&self) -> Result<Outcome, InstallError> {
        self.installer().install(&self.payload())
    }

    pub(super) fn on_node(&self, path: &str) -> PathBuf {
        self.node.path().join(path.trim_start_matches('/'))
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.on_node(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.on_node(path)).unwrap()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.on_node(path).exists()
    }

    /// Every file and folder of the node, with bytes and mode.
    pub(super) fn snapshot(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        files(self.node.path())
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        if path.is_dir() {
            found.extend(files(&path));
            found.insert(path, (Vec::new(), mode));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, (bytes, mode));
        }
    }
    found
}
