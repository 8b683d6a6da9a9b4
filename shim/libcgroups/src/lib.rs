//! Stands in for the `libcgroups` of youki, with as much of its interface as libcontainer uses.
//!
//! The original finds every controller anew by reading all mounts, at creation and at deletion, and
//! makes, fills and removes control groups. Here `coracle-cgroups` does that, and the process that calls
//! libcontainer is already where the container belongs. What is left is to say how this host has mounted
//! its control groups, from one read, and to refuse a container whose process is somewhere else.
//!
//! Architecture invariant: nothing in this crate writes anywhere.

pub mod common;
mod mounts;
mod place;
pub mod stats;
pub mod v1;
pub mod v2;
