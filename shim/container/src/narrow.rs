//! A container's OCI spec, as libcontainer is to have it.
//!
//! What this project does itself is taken out (control groups), and what libcontainer would take for
//! granted where the spec is silent is said (capabilities, `HOME`, `no_new_privs`).

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use oci_spec::runtime::{LinuxCapabilities, LinuxResources, Process, Spec};

use crate::entry;

/// What a bundle asks for.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// The folder that containerd made.
    pub(crate) folder: PathBuf,
    /// Its spec.
    pub(crate) spec: Spec,
}

/// Annotations of containerd's CRI plugin.
const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// The largest spec that is read, in bytes.
const LARGEST: u64 = 8 << 20;

/// Where everything of ours about a container stands, below its bundle: containerd removes the bundle, so
/// nothing of it can be left behind.
pub(crate) fn own_folder(bundle: &Path) -> PathBuf {
    bundle.join("coracle")
}

impl Bundle {
    /// Reads `config.json`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let mut text = String::new();
        file.take(LARGEST)
            .read_to_string(&mut text)
            .with_context(|| format!("read {}", path.display()))?;
        let spec = serde_json::from_str(&text)
            .with_context(|| format!("{} is no OCI runtime spec", path.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            spec,
        })
    }

    /// Where the root file system is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.spec.root().as_ref().map(|root| root.path().clone());
        self.folder.join(root.unwrap_or_else(|| "rootfs".into()))
    }

    /// Whether this is the container that holds a pod's namespaces.
    pub(crate) fn is_sandbox(&self) -> bool {
        let annotations = self.spec.annotations().as_ref();
        annotations
            .and_then(|all| all.get(CONTAINER_TYPE))
            .map(String::as_str)
            == Some("sandbox")
    }

    /// The path of the control group, in the form that the driver has.
    pub(crate) fn control_group(&self) -> Option<String> {
        let linux = self.spec.linux().as_ref()?;
        let path = linux.cgroups_path().as_ref()?;
        path.to_str().map(str::to_owned)
    }

    /// What the control group is to be limited to.
    pub(crate) fn resources(&self) -> Option<&LinuxResources> {
        self.spec.linux().as_ref()?.resources().as_ref()
    }

    /// Writes the narrowed spec, and answers with the folder in which libcontainer finds it. The root
    /// file system is mounted by now.
    pub(crate) fn narrow(mut self) -> Result<PathBuf> {
        self.refuse_hooks()?;
        let folder = own_folder(&self.folder);
        let path = self.root();
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let mut process = self
            .spec
            .process()
            .clone()
            .context("the spec has no process")?;
        narrow_process(&mut process, &path);
        let mut root = self.spec.root().clone().unwrap_or_default();
        root.set_path(path);
        let mut linux = self
            .spec
            .linux()
            .clone()
            .context("the spec has no `linux`")?;
        linux.set_resources(None);
        self.spec
            .set_process(Some(process))
            .set_root(Some(root))
            .set_linux(Some(linux));
        let file = folder.join("config.json");
        let text = serde_json::to_vec(&self.spec)?;
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(folder)
    }

    /// These run after the container was made, in a supervisor that has one thread.
    fn refuse_hooks(&self) -> Result<()> {
        let Some(hooks) = self.spec.hooks() else {
            return Ok(());
        };
        let late = [
            ("poststart", hooks.poststart()),
            ("poststop", hooks.poststop()),
        ];
        for (name, hooks) in late {
            if hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()) {
                bail!(
                    "the spec has hooks of kind {name}; accepted are prestart, createRuntime, createContainer and startContainer"
                );
            }
        }
        Ok(())
    }
}

/// Says what a process of a container is granted, where its spec is silent. `root` is the container's.
pub(crate) fn narrow_process(process: &mut Process, root: &Path) {
    let mut env = process.env().clone().unwrap_or_default();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        // libcontainer would ask the C library, which would load modules of the image.
        let passwd = read_in(root, Path::new("etc/passwd")).unwrap_or_default();
        env.push(format!(
            "HOME={}",
            entry::home(&passwd, process.user().uid())
        ));
    }
    process.set_env(Some(env));
    // Nothing said is nothing granted.
    let capabilities = process
        .capabilities()
        .clone()
        .unwrap_or_else(no_capabilities);
    process.set_capabilities(Some(said(capabilities)));
    // libcontainer looks at whether this is there, not at its value.
    if process.no_new_privileges() == Some(false) {
        process.set_no_new_privileges(None);
    }
}

fn no_capabilities() -> LinuxCapabilities {
    let mut none = LinuxCapabilities::default();
    none.set_bounding(None)
        .set_effective(None)
        .set_permitted(None)
        .set_inheritable(None)
        .set_ambient(None);
    none
}

/// Makes a set that is missing an empty one: libcontainer leaves what is missing as it is.
fn said(mut sets: LinuxCapabilities) -> LinuxCapabilities {
    let [bounding, effective, permitted, inheritable, ambient] = [
        sets.bounding(),
        sets.effective(),
        sets.permitted(),
        sets.inheritable(),
        sets.ambient(),
    ]
    .map(|set| Some(set.clone().unwrap_or_default()));
    sets.set_bounding(bounding)
        .set_effective(effective)
        .set_permitted(permitted)
        .set_inheritable(inheritable)
        .set_ambient(ambient);
    sets
}

/// Reads a small file of the image, without leaving its root by links.
fn read_in(root: &Path, path: &Path) -> Option<String> {
    let folder = File::open(root).ok()?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let file = File::from(openat2(&folder, path, how).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spec_does_not_grant_is_said_to_be_nothing() {
        let mut process = Process::default();
        process.set_capabilities(None);
        process.set_no_new_privileges(Some(false));
        process.set_env(None);
        narrow_process(&mut process, Path::new("/nonexistent"));
        let sets = process.capabilities().clone().unwrap();
        assert_eq!(sets.bounding().as_ref().map(|set| set.len()), Some(0));
        assert_eq!(sets.effective().as_ref().map(|set| set.len()), Some(0));
        assert_eq!(process.no_new_privileges(), None);
        assert_eq!(process.env().clone().unwrap(), ["HOME=/"]);
    }

    #[test]
    fn the_image_cannot_lead_out_of_its_root() {
        let root = std::env::temp_dir().join(format!("coracle-narrow-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("etc/passwd")).unwrap();
        let outside = read_in(&root, Path::new("etc/passwd"));
        fs::write(root.join("etc/hostname"), "inside").unwrap();
        let inside = read_in(&root, Path::new("etc/passwd"));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(outside, None);
        assert_eq!(inside.as_deref(), Some("inside"));
    }
}
