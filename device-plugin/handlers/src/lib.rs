//! Akri discovery handlers for WASI: one thread, no sockets, files only.
//!
//! A handler is a [`Handler`]: it reads the details of a Configuration, and says which devices are there now.
//! [`run`] does the rest: it looks once a period, speaks the file protocol, and never ends by itself.
//! `docs/akri-handlers.md` shows how a new one is written.
//!
//! Architecture invariant: nothing here knows gRPC, and everything compiles for WASI preview 1.

pub mod debug_echo;
pub mod file;
mod handler;
mod options;
mod run;
mod session;
pub mod udev;

pub use handler::{Failed, Handler, Invalid, details};
pub use options::Options;
pub use run::run;
pub use session::{Round, Session};
