//! Keeps a private node for the process that starts it; see `coracle_integration::node`.
//!
//! `coracle-node run FOLDER` until standard input ends, `coracle-node sweep` for what dead nodes left behind.

use std::path::PathBuf;

use anyhow::{Result, bail};
use coracle_integration::node::{Layout, process, sweep};

fn main() -> Result<()> {
    env_logger::init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let layout = |folder: &str| Layout::at(PathBuf::from(folder));
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", folder] => process::keeper(&layout(folder)),
        ["first-process", folder] => process::first_process(&layout(folder)),
        ["sweep"] => {
            let swept = sweep()?;
            log::info!("swept {swept:?}");
            Ok(())
        }
        _ => bail!("expected `run FOLDER` or `sweep`, not {words:?}"),
    }
}
