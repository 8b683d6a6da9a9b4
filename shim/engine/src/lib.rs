//! Runs wasm: from bytes to the end of the guest.
//!
//! A [`Program`] is loaded by an [`Engine`], knows its [`World`], and runs with [`Grants`] to an
//! [`End`]. [`process::run`] does all of that as the whole work of one process: it writes errors to
//! standard error, obeys signals and answers with an exit code.
//!
//! Architecture invariant: this crate knows no containerd, no OCI and no libcontainer. Every host
//! function of a guest is linked in one place per world (`world/`), and clocks, randomness, files and
//! sockets reach the guest only through [`Grants`].

mod binary;
mod compatibility;
mod config;
mod end;
mod grants;
mod host;
pub mod process;
mod program;
pub mod world;

pub use binary::{Binary, NotWasm};
pub use config::{Engine, EngineError};
pub use end::{End, RunError};
pub use grants::{Grants, Output, Preopen, Stop};
pub use program::{Entry, LoadError, Program};
pub use world::World;
