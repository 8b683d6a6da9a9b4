//! The emulated machine's kernel: Debian's own, downloaded and unpacked into the cache, never installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::steps::{run, say};
use crate::{cache, prerequisites};

/// The package that depends on the concrete one. Its cloud flavour lacks 9p.
const PACKAGE: &str = "linux-image-amd64";

/// A kernel that lies ready.
pub(super) struct Kernel {
    /// What the machine boots.
    pub(super) image: PathBuf,
    /// The folder that has `modules.dep`.
    pub(super) modules: PathBuf,
}

/// The kernel in the cache; the first time, it is downloaded.
///
/// # Errors
/// When it can neither be found nor downloaded.
pub(super) fn ready() -> anyhow::Result<Kernel> {
    let cache = cache::folder()?.join("vm");
    fs::create_dir_all(&cache)?;
    if let Some(kernel) = newest(&cache)? {
        return Ok(kernel);
    }
    download(&cache)?;
    newest(&cache)?.with_context(|| format!("no kernel in {}", cache.display()))
}

/// The last by name: versions of one Debian release sort well enough.
fn newest(cache: &Path) -> anyhow::Result<Option<Kernel>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(cache)? {
        found.push(entry?.path());
    }
    found.sort();
    Ok(found.iter().rev().find_map(|folder| kernel_in(folder)))
}

fn kernel_in(folder: &Path) -> Option<Kernel> {
    let version = folder.file_name()?.to_str()?;
    let kernel = Kernel {
        image: folder.join(format!("boot/vmlinuz-{version}")),
        modules: folder.join("lib/modules").join(version),
    };
    kernel.image.is_file().then_some(kernel)
}

/// Unpacked beside its place and renamed: what has the right name is whole, also with two downloads at a time.
fn download(cache: &Path) -> anyhow::Result<()> {
    let package = match concrete_package() {
        Ok(package) => package,
        Err(_unknown) => {
            prerequisites::update()?;
            concrete_package()?
        }
    };
    let version = package.trim_start_matches("linux-image-");
    say(&format!("  downloads the kernel {version}"));
    let partial = cache.join(format!(".{}", std::process::id()));
    fs::create_dir_all(&partial)?;
    let unpacked = unpack(&package, version, &partial);
    if unpacked.is_ok() {
        // Another process may have been faster.
        let place = cache.join(version);
        if !place.exists() {
            fs::rename(&partial, place)?;
        }
    }
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    unpacked
}

fn unpack(package: &str, version: &str, folder: &Path) -> anyhow::Result<()> {
    // apt's own user may not enter the cache.
    run(Command::new("apt-get")
        .args(["--quiet=2", "--option", "APT::Sandbox::User=root"])
        .args(["download", package])
        .current_dir(folder))?;
    for entry in fs::read_dir(folder)? {
        let archive = entry?.path();
        run(Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&archive)
            .arg(folder))?;
        fs::remove_file(archive)?;
    }
    let depmod = prerequisites::find("depmod").context("no depmod: install `kmod`")?;
    run(Command::new(depmod)
        .arg("--basedir")
        .arg(folder)
        .arg(version))
}

/// The package with the kernel itself, for example `linux-image-6.1.0-40-amd64`.
fn concrete_package() -> anyhow::Result<String> {
    let asked = Command::new("apt-cache")
        .args(["depends", "--important", PACKAGE])
        .output()
        .context("ask apt-cache; the kernel comes from Debian's packages")?;
    let answer = String::from_utf8(asked.stdout)?;
    let name = answer
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-") && *word != PACKAGE);
    match name {
        Some(name) => Ok(name.to_owned()),
        None => bail!("apt knows no package that {PACKAGE} depends on"),
    }
}
