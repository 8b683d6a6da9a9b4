//! Control groups of containers: versions 1 and 2, made by hand or by systemd.
//!
//! [`Hierarchy::detect`] finds once what this host has mounted. [`Hierarchy::cgroup`] turns the
//! `linux.cgroupsPath` of a specification into a [`Cgroup`], and its form says who makes it: a path means
//! that this crate does, `slice:prefix:name` that systemd does. The life of a container's group is then
//! [`Cgroup::create`] before its first process, [`Cgroup::enter_self`] in that process (or, where there
//! is one, [`Cgroup::directory`] in the call that forks it), and [`Cgroup::delete`] after the last.
//!
//! Every function blocks, for microseconds where nothing else is said, and starts no thread.
//!
//! Architecture invariant: this crate keeps no state. A group is what the kernel says it is, so a second
//! process can take over at any moment, and everything can be repeated.

mod cgroup;
mod cpuset;
mod delegation;
mod devices;
mod error;
mod file;
mod folders;
mod freezer;
mod hierarchy;
mod location;
mod out_of_memory;
mod processes;
mod resources;
pub mod statistics;
mod systemd;

pub use cgroup::Cgroup;
pub use error::CgroupError;
pub use hierarchy::Hierarchy;
pub use nix::sys::signal::Signal;
pub use out_of_memory::{Kills, OutOfMemory};
pub use statistics::Statistics;
pub use systemd::BusError;
