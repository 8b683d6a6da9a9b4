//! `cargo xtask demo`: a pod through a real containerd, and what its containers wrote; or Akri's discovery.

use clap::{Args, Subcommand};

use crate::build;
use crate::steps::{self, Steps};
use crate::{akri, guests, prerequisites, programs};

/// Which demo.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    demo: Option<Demo>,
}

#[derive(Clone, Copy, Subcommand)]
enum Demo {
    /// Akri: a device comes, goes and comes back, found by a handler in wasm
    Akri,
}

/// The guests that the demo's pod runs.
const GUESTS: [&str; 2] = ["hello", "http_p2"];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match options.demo {
        None => pod(),
        Some(Demo::Akri) => discovery(),
    }
}

fn pod() -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim and the compiler", programs::shim)?;
    steps.step("build the guests", || {
        guests::build(&GUESTS.map(str::to_owned))
    })?;
    steps.step("run a pod", || {
        steps::run(&mut build::harness("demo", &shim))
    })
}

fn discovery() -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim and the compiler", programs::shim)?;
    steps.step("build the handler and the proxy", akri::build)?;
    steps.step("find devices", || akri::demo(&shim))
}
