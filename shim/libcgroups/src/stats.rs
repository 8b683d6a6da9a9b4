//! Figures of a control group, of which there are none here.

/// What `coracle-cgroups` reads; it cannot be had from this crate.
#[derive(Debug, serde::Serialize)]
pub enum Stats {}
