//! The programs of `device-plugin`, and the demo of them.

use std::path::Path;
use std::process::Command;

use crate::build::{SHIM_FOLDER, cargo};
use crate::steps;

/// Builds the handlers in wasm, the broker and the static proxy, where the cache does not have them.
pub(crate) fn build() -> anyhow::Result<()> {
    steps::run(&mut program(
        "coracle-akri-programs",
        "coracle-akri-programs",
    ))
}

/// Shows a device come, go and come back.
pub(crate) fn demo(shim: &Path) -> anyhow::Result<()> {
    steps::run(program("coracle-akri-harness", "akri-demo").env(SHIM_FOLDER, shim))
}

fn program(package: &str, binary: &str) -> Command {
    let mut command = cargo("run");
    command
        .args(["--quiet", "--locked", "--package", package])
        .args(["--bin", binary]);
    command
}
