//! `cargo xtask bench`: ratios against runc, measured in one run.

use std::path::PathBuf;

use clap::Args;

use crate::build;
use crate::steps::{self, Steps};
use crate::{guests, prerequisites, programs};

/// How much is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured starts of each runtime
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// Numbers of idle pods to weigh
    #[arg(long, value_delimiter = ',', default_value = "10,50")]
    pods: Vec<u32>,
    /// Another installed runtime to measure beside, by its full name (io.containerd.X.v1)
    #[arg(long)]
    also: Vec<String>,
    /// Idle pods to grow to, for a plot; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    grow: u32,
    /// Where the plot is written
    #[arg(long, default_value = "bench.svg")]
    plot: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step(
        "build the shims and the compiler",
        programs::shims_for_benches,
    )?;
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
                .arg(pods)
                .args(options.also.iter().flat_map(|name| ["--also", name]))
                .args(["--grow", &options.grow.to_string()])
                .arg("--plot")
                .arg(&options.plot),
        )
    })
}
