//! Makes a Kubernetes node able to run wasm pods, and undoes it without a trace.
//!
//! The order of an installation is the order of the modules: which [`distribution`] the node has, where the
//! programs ([`payload`]) go ([`binary`]), what has to stand in which file ([`plan`]), all changes as one [`transaction`]
//! with a [`record`] on the node, and what the running containerd says about it ([`host`]). [`installer`]
//! puts them together.
//!
//! Architecture invariant: nothing here writes outside the [`node`]'s root, and only [`transaction`] and
//! [`mod@write`] write at all.

pub mod binary;
pub mod cluster;
pub mod cri;
pub mod distribution;
pub mod entry;
pub mod host;
pub mod installer;
pub mod node;
pub mod payload;
pub mod plan;
pub mod record;
pub mod schema;
pub mod transaction;
pub mod write;
