//! Makes containers, and runs wasm in them.
//!
//! The supervisor of a pod has one thread and forks. [`make`] forks a *maker*, which mounts the root
//! file system, calls libcontainer and ends: libcontainer changes its caller, so its caller is thrown
//! away. The container's first process is a child of the supervisor. Standing in its finished root, with
//! the user and the seccomp profile that the pod asks for, it looks at the file that its command names
//! ([`executor`]). A native program is executed once the container is started. Anything else is handed,
//! as an open file, through a socket to the supervisor, which forks a *clerk* for it ([`answer`]): the
//! clerk takes the compiled form from the cache, or has it compiled, and hands that back.
//!
//! Architecture invariant: no wasm is parsed, compiled or run in a process that is privileged and serves
//! others. The clerk hashes bytes and passes files on; `coracle-compile` parses; the container runs.

mod capabilities;
mod cleanup;
mod clerk;
mod entry;
mod exec;
mod executor;
mod guest;
mod image;
mod isolation;
mod maker;
mod message;
mod mount;
mod namespaces;
mod narrow;
mod outcome;
mod plan;
mod signals;
mod spawn;
mod start;

pub use cleanup::{remove, remove_apart, removed};
pub use clerk::{Clerk, CodeCache, answer};
pub use exec::{Exec, Executed, Executing, Streams, exec};
pub use maker::{Made, Making, Request, Role, Stdio, make};
pub use message::receive_file;
pub use mount::Mount;
pub use spawn::send_real_time;
pub use start::{StartError, start};
