//! Akri's discovery protocol: the messages, clients and servers of `proto/discovery.proto`, and the names that
//! both sides must agree on besides.

#![allow(missing_docs, reason = "the generated code is documented in the proto")]
#![allow(
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_imports,
    reason = "the generated code is not ours"
)]

tonic::include_proto!("v0");

/// The Agent's socket, in the folder of discovery handlers.
pub const AGENT_SOCKET: &str = "agent-registration.sock";

/// The environment variable with the folder of discovery handlers.
pub const DIRECTORY_VARIABLE: &str = "DISCOVERY_HANDLERS_DIRECTORY";

/// The folder of discovery handlers unless the environment names another.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/akri";

/// The port of a handler that is reached over the network.
pub const NETWORK_PORT: u16 = 10000;
