//! `cargo xtask ci`: what must pass before a change lands.

use crate::{lint, test};

pub(crate) fn run() -> anyhow::Result<()> {
    lint::run()?;
    test::run(&test::Options::default())
}
