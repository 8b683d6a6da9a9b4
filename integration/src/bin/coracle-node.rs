//! Keeps a private node for the test process that starts it; see `coracle_integration::node::process`.
//!
//! By hand: `coracle-node sweep-nodes` removes what dead nodes left behind.

use anyhow::{Context, Result};
use coracle_integration::node::process;

fn main() -> Result<()> {
    env_logger::init();
    process::requested().context("this program is started by the harness")?
}
