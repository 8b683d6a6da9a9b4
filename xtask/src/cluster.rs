//! `cargo xtask cluster`: a Kubernetes of one node, in the background of this machine.

mod table;

use std::process::Command;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::build::{self, cargo};
use crate::steps::{self, Steps, say};
use crate::{guests, prerequisites, programs};

/// What is done with the cluster.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start it, with the shim and the guests that are built now
    ///
    /// The first time on a machine, Kubernetes is built with Go, which takes 5 to 15 minutes.
    Up,
    /// End it; nothing is left
    Down,
    /// Say whether it is up, and remove what is left of one that died
    Status,
    /// Run kubectl on it
    #[command(disable_help_flag = true)]
    Kubectl(Words),
    /// Run helm on it; the first time, helm is built with Go
    #[command(disable_help_flag = true)]
    Helm(Words),
    /// Run the tests on a cluster, and write what works into docs/kubernetes.md
    Table,
}

/// What the program is told.
#[derive(Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match &options.action {
        Action::Up => up(),
        Action::Down => steps::run(harness().arg("down")),
        Action::Status => steps::run(harness().arg("status")),
        Action::Kubectl(Words { words }) => steps::run(harness().arg("kubectl").args(words)),
        Action::Table => table::run(),
        Action::Helm(Words { words }) => steps::run(harness().arg("helm").args(words)),
    }
}

fn up() -> anyhow::Result<()> {
    let mut steps = Steps::new(5);
    steps.step("install what is missing", || {
        prerequisites::install()?;
        prerequisites::install_for_cluster()
    })?;
    let shim = steps.step("build the shim and the compiler", programs::shim)?;
    steps.step("build the guests", || guests::build(&[]))?;
    steps.step("build Kubernetes", || steps::run(harness().arg("build")))?;
    steps.step("start the cluster", || {
        let mut up = build::harness("cluster", &shim);
        steps::run(up.args(["--", "up"]))
    })
}

/// Installs and builds what the tests on a cluster need, or says why there will be none.
pub(crate) fn prepare() -> anyhow::Result<()> {
    prerequisites::install_for_cluster()?;
    let asked = harness().arg("missing").output();
    let missing = String::from_utf8(asked.context("ask what is missing")?.stdout)?;
    if missing.is_empty() {
        return steps::run(harness().arg("build"));
    }
    say(&format!(
        "  skipped: all tests on Kubernetes, because {missing}"
    ));
    Ok(())
}

/// The harness's program for clusters, without a shim.
fn harness() -> Command {
    let mut command = cargo("run");
    command.args(["--quiet", "--locked", "--package", "coracle-integration"]);
    command.args(["--bin", "cluster", "--"]);
    command
}
