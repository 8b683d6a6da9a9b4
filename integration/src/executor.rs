//! The runtime that outlives every test: connections, readers and clean-up run on it.
//!
//! Each `#[tokio::test]` has a runtime of its own that ends with the test; what several tests share, or what
//! has to work while a test unwinds, cannot live there.

use std::io;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("harness")
        .enable_all()
        .build()
});

/// The harness's own runtime.
pub(crate) fn executor() -> io::Result<&'static Handle> {
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.handle()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

/// Runs `work` to its end, also from a destructor inside another runtime; `None` when it panicked.
pub(crate) fn finish<T: Send>(work: impl Future<Output = T> + Send) -> io::Result<Option<T>> {
    let executor = executor()?;
    Ok(std::thread::scope(|scope| {
        scope.spawn(|| executor.block_on(work)).join().ok()
    }))
}
