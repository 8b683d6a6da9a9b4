//! The two processes of a node, run by any program that asks for it.
//!
//! Tests cannot ask, as their `main` is not theirs: they use the program `coracle-node`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::layout::Layout;
use super::{init, keeper, sweep};

/// The word before the folder of the node to keep.
pub(super) const KEEPER: &str = "keep-node";

/// The word before the folder of the node whose first process to be.
pub(super) const FIRST_PROCESS: &str = "first-process-of-node";

/// The word for a sweep of what dead nodes left behind.
const SWEEP: &str = "sweep-nodes";

static NODE_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Does what the command line asks of a node's process; `None` when it asks for something else.
///
/// A program that calls this first in `main` can start nodes without `coracle-node`:
///
/// ```no_run
/// # use coracle_integration::node::process;
/// fn main() -> anyhow::Result<()> {
///     if let Some(ended) = process::requested() {
///         return ended;
///     }
///     // …
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The inner result has the error of the node's process.
#[must_use]
pub fn requested() -> Option<Result<()>> {
    NODE_PROGRAM.store(true, Ordering::Relaxed);
    let words: Vec<String> = std::env::args().skip(1).collect();
    let layout = |folder: &str| Layout::at(PathBuf::from(folder));
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [KEEPER, folder] => Some(keeper::run(&layout(folder))),
        [FIRST_PROCESS, folder] => Some(init::run(&layout(folder))),
        [SWEEP] => Some(sweep().map(|swept| log::info!("swept {swept:?}"))),
        _ => None,
    }
}

/// Whether the running program has called [`requested`].
pub(super) fn is_node_program() -> bool {
    NODE_PROGRAM.load(Ordering::Relaxed)
}
