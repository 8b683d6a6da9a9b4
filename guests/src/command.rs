//! Running the programs that compilers are.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, ExitStatus, Output, Stdio};

use thiserror::Error;

/// A program that was to build something did not.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The program cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        /// As it was looked for.
        program: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program ended with a failure.
    #[error("`{program}` failed ({status}):\n{output}")]
    Failed {
        /// As it was started.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, first to stdout, then to stderr.
        output: String,
    },
}

/// What the environment of `cargo xtask`, or of a developer, must not say to a compiler for wasm.
const FOREIGN: [&str; 9] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "GOFLAGS",
    "NODE_OPTIONS",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];

/// A command that inherits nothing which would make it build something else.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
}

/// Runs it to its end and gives its stdout; what it writes is shown only where it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, CommandError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output {
        status,
        stdout,
        stderr,
    } = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(source) => return Err(CommandError::Start { program, source }),
    };
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let output = format!(
        "{}\n{}",
        stdout.trim(),
        String::from_utf8_lossy(&stderr).trim()
    );
    Err(CommandError::Failed {
        program,
        status,
        output: output.trim().to_owned(),
    })
}
