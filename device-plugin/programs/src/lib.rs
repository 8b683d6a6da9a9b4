//! The programs of `device-plugin` that go into images: the handlers and the broker in wasm, and the proxy for this
//! machine; what builds them, and where the built files are.

use std::fs;

use anyhow::{Context as _, Result};
use coracle_guests::{Program, Target};

const BUILT_BY: &str = "cargo run --package coracle-akri-programs";

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const fn handler(name: &'static str, binary: &'static str) -> Program {
    Program {
        name,
        package: "coracle-akri-handlers",
        binary,
        target: Target::Wasip1,
        workspace: WORKSPACE,
        sources: &[
            "device-plugin/handlers/Cargo.toml",
            "device-plugin/handlers/src",
            "device-plugin/protocol/Cargo.toml",
            "device-plugin/protocol/src",
        ],
        built_by: BUILT_BY,
    }
}

/// All programs: the handlers and the broker in wasm, and the proxy for this machine.
pub const PROGRAMS: [Program; 5] = [
    handler("akri_debug_echo", "debug_echo"),
    handler("akri_udev", "udev"),
    handler("akri_file", "file"),
    handler("akri_broker", "broker"),
    Program {
        name: "akri_proxy",
        package: "coracle-akri-proxy",
        binary: "coracle-akri-proxy",
        target: Target::Static,
        workspace: WORKSPACE,
        sources: &[
            "device-plugin/api/Cargo.toml",
            "device-plugin/api/proto",
            "device-plugin/api/src",
            "device-plugin/protocol/Cargo.toml",
            "device-plugin/protocol/src",
            "device-plugin/proxy/Cargo.toml",
            "device-plugin/proxy/src",
        ],
        built_by: BUILT_BY,
    },
];

/// The built file of a program.
///
/// # Errors
/// When there is no such program, or it is not built.
pub fn program(name: &str) -> Result<Vec<u8>> {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    let program = program.with_context(|| format!("no program is called {name}"))?;
    let path = program.built()?;
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}
