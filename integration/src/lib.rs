//! A harness for tests against the real containerd, and for `cargo xtask demo` and `bench`.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use coracle_integration::{Node, native};
//!
//! let node = Node::shared().await?;
//! let finished = node.container("hello").image(&native::hello()?).run().await?;
//! assert_eq!(finished.code, 0);
//! assert_eq!(finished.stdout, "hello\n");
//! # Ok(())
//! # }
//! ```

pub mod cgroup;
pub mod cluster;
pub mod containerd;
mod executor;
pub mod leftovers;
pub mod logs;
pub mod native;
pub mod node;
pub mod patience;
pub mod pod;
pub mod processes;
pub mod task;

pub use cluster::Cluster;
pub use coracle_image as image;
pub use coracle_image::Image;
pub use node::Node;

use std::sync::atomic::{AtomicU32, Ordering};

/// A number that no other call in this process gets.
pub(crate) fn unique() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}
