//! Where things are, and how the parts that are no member of this workspace are built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment variable by which the harness finds the shim: the folder that holds it.
pub(crate) const SHIM_FOLDER: &str = "CORACLE_SHIM_DIR";

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The cargo that started this task, in the root of the checkout.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg(subcommand).current_dir(root());
    command
}

/// The one target folder of all workspaces: what `CARGO_TARGET_DIR` says, else `target`.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |set| root().join(set))
}

/// The manifest of the shim on containerd-shim-wasm's host, a workspace of its own.
pub(crate) fn runwasi_manifest() -> PathBuf {
    root().join("shim/runwasi/Cargo.toml")
}

/// A program of the harness, ready to run with the shim that was just built.
pub(crate) fn harness(program: &str, shim: &Path) -> Command {
    let mut command = cargo("run");
    command
        .args([
            "--quiet",
            "--locked",
            "--package",
            "coracle-integration",
            "--bin",
            program,
        ])
        .env(SHIM_FOLDER, shim);
    command
}
