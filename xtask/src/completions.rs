//! `cargo xtask completions`: a script that a shell sources.

use clap::Args;
use clap_complete::Shell;

/// Which shell.
#[derive(Args)]
pub(crate) struct Options {
    shell: Shell,
}

pub(crate) fn run(options: &Options, command: &mut clap::Command) {
    clap_complete::generate(
        options.shell,
        command,
        "cargo-xtask",
        &mut std::io::stdout(),
    );
}
