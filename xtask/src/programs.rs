//! The programs that a node gets, built as they are shipped: static, and the same from the same commit.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::build::{cargo, root, target};
use crate::image::{Libc, Platform};
use crate::prerequisites;
use crate::steps::{self, Steps};
use crate::toolchain::{Paths, Toolchain};

/// A program of a node.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    package: &'static str,
    /// The workspace that it belongs to.
    manifest: &'static str,
    profile: &'static str,
}

/// The installer, which is started in the image, and what it installs.
pub(crate) const ALL: &[Program] = &[INSTALLER, SHIM, COMPILER, RUNWASI];

const INSTALLER: Program = Program {
    name: "coracle-node-installer",
    package: "coracle-node-installer",
    manifest: "Cargo.toml",
    profile: "release",
};

const SHIM: Program = Program {
    name: "containerd-shim-coracle-v1",
    package: "coracle-shim",
    manifest: "Cargo.toml",
    profile: "shim",
};

/// Built by a command of its own: in one command with the shim, cargo would link the compiler into both.
const COMPILER: Program = Program {
    name: "coracle-compile",
    package: "coracle-compile",
    manifest: "Cargo.toml",
    profile: "release",
};

const RUNWASI: Program = Program {
    name: "containerd-shim-coracle-runwasi-v1",
    package: "coracle-shim-runwasi",
    manifest: "shim/runwasi/Cargo.toml",
    profile: "release",
};

/// What the benches take their floor from. No node gets it.
const NULL: Program = Program {
    name: "containerd-shim-coracle-null-v1",
    package: "coracle-null-shim",
    manifest: "Cargo.toml",
    profile: "shim",
};

impl Program {
    /// Builds it, and answers where it is.
    ///
    /// # Errors
    /// When the build fails or has not produced the program.
    pub(crate) fn build(&self, toolchain: &Toolchain, paths: Paths) -> anyhow::Result<PathBuf> {
        let mut command = cargo("build");
        command
            .args(["--locked", "--profile", self.profile])
            .args(["--target", toolchain.triple])
            .args(["--package", self.package, "--bin", self.name])
            .arg("--manifest-path")
            .arg(root().join(self.manifest))
            .arg("--target-dir")
            .arg(target());
        toolchain.prepare(&mut command, paths);
        steps::run(&mut command)?;
        let built = target()
            .join(toolchain.triple)
            .join(self.profile)
            .join(self.name);
        built
            .metadata()
            .with_context(|| format!("no {}", built.display()))?;
        Ok(built)
    }
}

/// `cargo xtask shims`.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::new(2);
    steps.step("install what is missing", prerequisites::install)?;
    let folder = steps.step("build the shims and the compiler", || {
        gather(&[SHIM, COMPILER, RUNWASI])
    })?;
    Ok(writeln!(std::io::stdout(), "{}", folder.display())?)
}

/// Builds the shim and the compiler for this machine, and answers with the folder that holds them.
///
/// # Errors
/// When a build fails.
pub(crate) fn shim() -> anyhow::Result<PathBuf> {
    gather(&[SHIM, COMPILER])
}

/// As [`shim`], and what it is measured against: the other host, and the null shim.
///
/// # Errors
/// When a build fails.
pub(crate) fn shims_for_benches() -> anyhow::Result<PathBuf> {
    gather(&[SHIM, COMPILER, RUNWASI, NULL])
}

fn gather(programs: &[Program]) -> anyhow::Result<PathBuf> {
    let toolchain = Toolchain::of(Platform::native(), Libc::Glibc)?;
    let folder = target().join("node");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for program in programs {
        let built = program.build(&toolchain, Paths::Kept)?;
        let place = folder.join(program.name);
        // By renaming: a program that runs cannot be written.
        let fresh = folder.join(format!(".{}", program.name));
        fs::copy(&built, &fresh).with_context(|| format!("copy to {}", fresh.display()))?;
        fs::rename(&fresh, &place).with_context(|| format!("rename to {}", place.display()))?;
    }
    Ok(folder)
}
