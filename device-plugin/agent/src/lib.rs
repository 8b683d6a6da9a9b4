//! A mock of the Akri Agent: what discovery handlers are tested with.
//!
//! [`Agent`] serves registration on a socket of its own and keeps a `Discover` stream open for each Configuration, as
//! the real one does; [`conformance`] asks a handler everything that the real one relies on.

mod agent;
mod configuration;
pub mod conformance;
mod connection;
mod instance;

pub use agent::{Agent, AgentError, Registered};
pub use configuration::{Configuration, Late, List, View};
pub use connection::{ConnectError, Handler, Open};
pub use coracle_akri_api as api;
pub use instance::{instance_hash, instance_name};
