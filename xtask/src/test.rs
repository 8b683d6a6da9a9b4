//! `cargo xtask test`: every test.

use clap::Args;

use crate::build::{self, SHIM_FOLDER, cargo, shim_manifest, target};
use crate::steps::{self, Steps};
use crate::{guests, prerequisites};

/// Which tests.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let filter = options.filter.as_deref();
    let mut steps = Steps::new(5);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim", build::shim)?;
    steps.step("build the guests", || guests::build(&[]))?;
    steps.step("test the shim", || {
        steps::run(
            cargo("test")
                .args(["--release", "--locked", "--manifest-path"])
                .arg(shim_manifest())
                .arg("--target-dir")
                .arg(target())
                .args(filter),
        )
    })?;
    steps.step("test everything else, against a real containerd", || {
        steps::run(
            cargo("test")
                .args(["--workspace", "--locked"])
                .args(filter)
                .env(SHIM_FOLDER, shim),
        )
    })
}
