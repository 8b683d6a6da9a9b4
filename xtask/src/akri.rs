//! The programs of `device-plugin`, and the demo of them.

use std::path::Path;
use std::process::Command;

use crate::build::{SHIM_FOLDER, cargo};
use crate::steps;

/// Builds the handlers in wasm, the broker and the static proxy, where the cache does not have them.
pub(crate) fn build() -> anyhow::Result<()> {
    steps::run(&mut program("akri-programs"))
}

/// Shows a device come, go and come back.
pub(crate) fn demo(shim: &Path) -> anyhow::Result<()> {
    steps::run(program("akri-demo").env(SHIM_FOLDER, shim))
}

fn program(name: &str) -> Command {
    let mut command = cargo("run");
    let package = ["--quiet", "--locked", "--package", "coracle-akri-harness"];
    command.args(package).args(["--bin", name]);
    command
}
