//! `cargo xtask test`: every test.

use clap::Args;

use crate::build::{SHIM_FOLDER, cargo};
use crate::steps::{self, Steps};
use crate::{akri, cluster, guests, prerequisites, programs, vm};

/// Which tests.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Run only tests whose name contains this
    filter: Option<String>,
    /// Run the slow tests too: a hundred pods on a cluster, and kills at every moment of a life
    #[arg(long)]
    slow: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let filter = options.filter.as_deref();
    let mut steps = Steps::new(8 + usize::from(options.slow));
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim and the compiler", programs::shim)?;
    steps.step("build the guests", || guests::build(&[]))?;
    steps.step("build the handlers and the proxy of Akri", akri::build)?;
    steps.step("build the node installer", || {
        // Its tests run it as a program, and cargo builds only the programs of the package under test.
        steps::run(cargo("build").args(["--locked", "--package", "coracle-node-installer"]))
    })?;
    steps.step("build Kubernetes", cluster::prepare)?;
    steps.step(
        "test everything else, against a real containerd and Kubernetes",
        || {
            steps::run(
                cargo("test")
                    .args(["--workspace", "--locked", "--no-fail-fast"])
                    .args(filter)
                    .env(SHIM_FOLDER, &shim),
            )
        },
    )?;
    if options.slow {
        steps.step("test a full node", || {
            let mut test = cargo("test");
            test.args(["--locked", "--package", "coracle-integration"]);
            test.args(["--test", "cluster", "--test", "crashes"]);
            test.args(["--", "--ignored", "--nocapture"]);
            // What measures is alone.
            test.arg("--test-threads=1");
            steps::run(test.env(SHIM_FOLDER, &shim))
        })?;
    }
    steps.step("on a cgroup v2 machine", || vm::test(&shim, filter))
}
