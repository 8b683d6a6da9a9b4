//! What `coracle-compile` is made of. A library only so that its tests can enter the sandbox.

pub mod sandbox;
