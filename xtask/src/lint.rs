//! `cargo xtask lint`: formatting and lints of every workspace.

use crate::build::{cargo, runwasi_manifest, target};
use crate::prerequisites;
use crate::steps::{self, Steps};

pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::new(3);
    steps.step("install what is missing", prerequisites::install)?;
    steps.step("formatting", || {
        steps::run(cargo("fmt").args(["--all", "--check"]))?;
        steps::run(
            cargo("fmt")
                .arg("--check")
                .arg("--manifest-path")
                .arg(runwasi_manifest()),
        )
    })?;
    steps.step("lints", || {
        let deny = ["--all-targets", "--locked", "--", "--deny", "warnings"];
        steps::run(cargo("clippy").arg("--workspace").args(deny))?;
        // In the release profile, so that the dependencies are shared with the shim's build.
        let mut shim = cargo("clippy");
        shim.args(["--release", "--manifest-path"])
            .arg(runwasi_manifest());
        steps::run(shim.arg("--target-dir").arg(target()).args(deny))
    })
}
