//! Programs of cargo packages that lie elsewhere in the workspace, built and kept as guests are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build_all::BuildError;
use crate::built::LookupError;
use crate::cache::{self, CacheError};
use crate::command::{command, run};
use crate::fingerprint::Fingerprint;
use crate::toolchain::{Toolchain, Tools};

/// What a program is built as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A core module for WASI preview 1.
    Wasip1,
    /// A program for this machine that needs no library at run time, so that it can be alone in an image.
    Static,
}

/// A program of a package in a workspace.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of its file in the cache; without a hyphen.
    pub name: &'static str,
    /// The package.
    pub package: &'static str,
    /// The package's binary.
    pub binary: &'static str,
    /// What it is built as.
    pub target: Target,
    /// The root of the workspace.
    pub workspace: &'static str,
    /// The folders and files, below `workspace`, that it is made of. A new version of a dependency from a registry does
    /// not count.
    pub sources: &'static [&'static str],
    /// The command that builds it, for those who look for it in vain.
    pub built_by: &'static str,
}

impl Program {
    /// The built file of the current sources.
    ///
    /// # Errors
    /// Where it is not built, and where the sources or the cache cannot be read.
    pub fn built(&self) -> Result<PathBuf, LookupError> {
        let path = self.entry()?;
        if path.is_file() {
            return Ok(path);
        }
        Err(LookupError::ProgramNotBuilt {
            name: self.name,
            built_by: self.built_by,
        })
    }

    /// Builds it unless the cache has it, and says whether it did. `assembling` is told the name of a toolchain that is
    /// not there yet.
    ///
    /// # Errors
    /// Where it does not compile, or there is nothing to compile it with.
    pub fn build(&self, assembling: &dyn Fn(&'static str)) -> Result<bool, BuildError> {
        let _held = cache::lock(&cache::guests()?.join(".lock"))?;
        let finished = self.entry()?;
        if finished.is_file() {
            return Ok(false);
        }
        let built = match self.target {
            Target::Wasip1 => self.compile(&Toolchain::Rust.ensure(assembling)?)?,
            Target::Static => self.link()?,
        };
        let partial = finished.with_extension("partial");
        fs::copy(&built, &partial).map_err(CacheError::at(&built))?;
        fs::rename(&partial, &finished).map_err(CacheError::at(&finished))?;
        cache::sweep(&cache::guests()?, self.name, &finished)?;
        Ok(true)
    }

    fn compile(&self, tools: &Tools) -> Result<PathBuf, BuildError> {
        let triple = "wasm32-wasip1";
        let mut cargo = self.cargo(triple)?;
        cargo
            .env("RUSTC", tools.file("bin/rustc"))
            .env("CARGO_PROFILE_RELEASE_LTO", "true")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort");
        self.finish(&mut cargo, triple, ".wasm")
    }

    fn link(&self) -> Result<PathBuf, BuildError> {
        let host = env!("GUESTS_HOST");
        let mut cargo = self.cargo(host)?;
        cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
        self.finish(&mut cargo, host, "")
    }

    fn cargo(&self, triple: &str) -> Result<std::process::Command, BuildError> {
        let mut cargo = command("cargo");
        cargo
            .args(["build", "--quiet", "--release", "--locked"])
            .args(["--target", triple, "--package", self.package])
            .args(["--bin", self.binary, "--manifest-path"])
            .arg(Path::new(self.workspace).join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", target_folder()?)
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
            .env("CARGO_PROFILE_RELEASE_STRIP", "true");
        Ok(cargo)
    }

    fn finish(
        &self,
        cargo: &mut std::process::Command,
        triple: &str,
        extension: &str,
    ) -> Result<PathBuf, BuildError> {
        run(cargo).map_err(|source| BuildError::Compile {
            guest: self.name,
            source,
        })?;
        let file = format!("{}{extension}", self.binary);
        Ok(target_folder()?.join(triple).join("release").join(file))
    }

    fn entry(&self) -> Result<PathBuf, CacheError> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.bytes(include_bytes!("program.rs"));
        fingerprint.bytes(env!("GUESTS_RUSTC").as_bytes());
        for source in self.sources {
            fingerprint.path(&Path::new(self.workspace).join(source))?;
        }
        if self.target == Target::Wasip1 {
            for source in Toolchain::Rust.sources() {
                fingerprint.path(&source)?;
            }
        }
        let extension = match self.target {
            Target::Wasip1 => "wasm",
            Target::Static => "elf",
        };
        let hash = fingerprint.finish();
        Ok(cache::guests()?.join(format!("{}-{hash}.{extension}", self.name)))
    }
}

fn target_folder() -> Result<PathBuf, CacheError> {
    Ok(cache::guests()?.join("cargo"))
}
