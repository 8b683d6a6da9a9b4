//! `cargo xtask demo`: one pod through a real containerd, and what its containers wrote.

use crate::build;
use crate::steps::{self, Steps};
use crate::{guests, prerequisites};

/// The guests that the demo's pod runs.
const GUESTS: [&str; 2] = ["hello", "http_p2"];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install what is missing", prerequisites::install)?;
    let shim = steps.step("build the shim", build::shim)?;
    steps.step("build the guests", || {
        guests::build(&GUESTS.map(str::to_owned))
    })?;
    steps.step("run a pod", || {
        steps::run(&mut build::harness("demo", &shim))
    })
}
