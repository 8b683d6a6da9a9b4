//! Rust programs, compiled by cargo.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build_all::BuildError;
use crate::cache::{self, CacheError};
use crate::command::{command, run};
use crate::toolchain::Tools;
use crate::{Guest, Language, source_folder};

/// The cargo workspace that a Rust program belongs to.
pub(super) fn workspace(guest: &Guest) -> PathBuf {
    let folder = if guest.language == Language::RustComponent {
        "components"
    } else {
        "rust"
    };
    source_folder().join("programs").join(folder)
}

/// The core module of a Rust program.
pub(super) fn module(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    let built = compile(guest, tools)?;
    fs::copy(&built, out).map_err(CacheError::at(&built))?;
    Ok(())
}

/// Compiles a program and gives its file in cargo's target folder, which the next build may write again.
pub(super) fn compile(guest: &Guest, tools: &Tools) -> Result<PathBuf, BuildError> {
    let path = guest.path();
    // The program's own name: that of a guest made from it may differ.
    let program = path.file_stem().unwrap_or_default();
    let (target, selector) = match guest.language {
        // Without a system below it, a component imports what its own world names and nothing else.
        Language::RustComponent => ("wasm32-unknown-unknown", "--package"),
        _ => ("wasm32-wasip1", "--bin"),
    };
    let target_folder = cache::guests()?.join("cargo");
    run(command("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            target,
            selector,
        ])
        .arg(program)
        .arg("--manifest-path")
        .arg(workspace(guest).join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target_folder)
        .env("RUSTC", tools.file("bin/rustc")))
    .map_err(|source| BuildError::Compile {
        guest: guest.name,
        source,
    })?;
    let built = target_folder.join(target).join("release").join(program);
    Ok(built.with_extension("wasm"))
}
