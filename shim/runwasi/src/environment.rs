//! What this process keeps of the environment that containerd gave it.
//!
//! The host runs native containers with the environment of the shim (containerd-shim-wasm 1.0.1 sets
//! nothing else). containerd's own environment can hold what no container may see, such as a proxy's
//! password, so the shim runs without it.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// What containerd's shim protocol and the host read.
const NEEDED: [&str; 8] = [
    "CONTAINERD_ADDRESS",
    "GRPC_ADDRESS",
    "MAX_SHIM_VERSION",
    "NAMESPACE",
    "PATH",
    "RUST_LOG",
    "TTRPC_ADDRESS",
    "XDG_RUNTIME_DIR",
];

/// Starts this program anew without the variables that nothing here needs; returns where there are none.
///
/// # Errors
/// When the program cannot be executed again.
pub(crate) fn keep_only_what_is_needed() -> anyhow::Result<()> {
    let (needed, foreign): (Vec<_>, Vec<_>) = env::vars_os()
        .partition(|(name, _)| NEEDED.iter().any(|needed| name.to_str() == Some(needed)));
    if foreign.is_empty() {
        return Ok(());
    }
    let this = env::current_exe().context("find this program's file")?;
    let mut arguments = env::args_os();
    let mut command = Command::new(this);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let failed = command.args(arguments).env_clear().envs(needed).exec();
    Err(failed).context("execute this program without containerd's environment")
}
