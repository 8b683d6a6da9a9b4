//! `cargo xtask guests`: builds the guest programs.

use clap::Args;

use crate::build::cargo;
use crate::prerequisites;
use crate::steps::{self, Steps};

/// Which guests.
#[derive(Args)]
pub(crate) struct Options {
    /// Names of guests, as in `guests/programs`; without any, all of them
    names: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::new(2);
    steps.step("install what is missing", prerequisites::install)?;
    steps.step("build the guests", || build(&options.names))
}

/// Builds the named guests, or all.
pub(crate) fn build(names: &[String]) -> anyhow::Result<()> {
    steps::run(
        cargo("run")
            .args(["--quiet", "--locked", "--package", "coracle-guests", "--"])
            .args(names),
    )
}
