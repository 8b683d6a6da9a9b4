//! `cargo xtask bench`: ratios against runc, measured in one run.

use clap::Args;

use crate::build;
use crate::steps::{self, Steps};
use crate::{guests, prerequisites};

/// How much is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured starts of each runtime
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// Numbers of idle pods to weigh
    #[arg(long, value_delimiter = ',', default_value = "10,50")]
    pods: Vec<u32>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim", build::shim)?;
    steps.step("build the guests", || guests::build(&[]))?;
    let pods = options
        .pods
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",");
    steps.step("measure", || {
        let mut bench = build::harness("bench", &shim);
        steps::run(
            bench
                .arg("--")
                .arg("--runs")
                .arg(options.runs.to_string())
                .arg("--pods")
                .arg(pods),
        )
    })
}
