//! Toolchains: each has a folder in `toolchains/` with a script that assembles it into the cache.

use std::path::{Path, PathBuf};
use std::{env, fs};

use thiserror::Error;

use crate::cache::{self, CacheError};
use crate::command::{CommandError, command, run};
use crate::fingerprint::Fingerprint;
use crate::source_folder;

/// What guests are compiled with, where `PATH` does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// A rustc with a standard library for wasm.
    Rust,
    /// clang, lld and a C library for WASI preview 1.
    Clang,
    /// componentize-js.
    JavaScript,
    /// componentize-py.
    Python,
}

/// A toolchain cannot be had on this machine.
#[derive(Debug, Error)]
pub enum ToolchainError {
    /// Its script failed; the output says what to install.
    #[error("the {name} toolchain cannot be assembled")]
    Unavailable {
        /// The folder below `toolchains/`.
        name: &'static str,
        /// What the script said.
        #[source]
        source: CommandError,
    },
    /// A program it needs is not on `PATH`.
    #[error("cannot run `{program}`; install {remedy}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What provides it.
        remedy: &'static str,
        /// What became of the attempt to run it.
        #[source]
        source: CommandError,
    },
    /// The cache cannot be used.
    #[error("the toolchains cannot be kept")]
    Cache(#[from] CacheError),
}

/// Where the programs and files of a toolchain are: in a folder, or on `PATH`.
pub(crate) struct Tools(Option<PathBuf>);

impl Tools {
    /// The tools of a language whose compiler, if it has one, is a program on `PATH`.
    pub(crate) fn on_path() -> Self {
        Self(None)
    }

    /// A file of the toolchain, given by its place in the toolchain's folder. Of one that is on `PATH` the
    /// name is enough.
    pub(crate) fn file(&self, relative: &str) -> PathBuf {
        let relative = Path::new(relative);
        match &self.0 {
            Some(folder) => folder.join(relative),
            None => relative.file_name().unwrap_or_default().into(),
        }
    }
}

const RUST_TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-unknown-unknown"];

impl Toolchain {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Clang => "clang",
            Self::JavaScript => "js",
            Self::Python => "python",
        }
    }

    /// What the toolchain is made of: its pins and its script, and those of what it takes parts from.
    pub(crate) fn sources(self) -> Vec<PathBuf> {
        let mut sources = vec![source_folder().join("toolchains").join(self.name())];
        if self == Self::Rust {
            sources.extend(Self::Clang.sources());
        }
        sources
    }

    /// The user's own where that does, else the one in the cache, which is assembled where it is not there
    /// yet; `assembling` is called before that begins, with the name.
    pub(crate) fn ensure(self, assembling: &dyn Fn(&'static str)) -> Result<Tools, ToolchainError> {
        if self == Self::Rust && own_rust_has_targets() {
            return Ok(Tools::on_path());
        }
        Ok(Tools(Some(self.assembled(assembling)?)))
    }

    fn assembled(self, assembling: &dyn Fn(&'static str)) -> Result<PathBuf, ToolchainError> {
        let folder = cache::toolchains()?;
        let version = self.version()?;
        let finished = folder.join(&version);
        if finished.is_dir() {
            return Ok(finished);
        }
        let _held = cache::lock(&folder.join(format!(".{}.lock", self.name())))?;
        // Whoever held the lock may have assembled it.
        if finished.is_dir() {
            return Ok(finished);
        }
        let mut install = command("bash");
        install.arg(
            source_folder()
                .join("toolchains")
                .join(self.name())
                .join("install.sh"),
        );
        if self == Self::Rust {
            install.env("CLANG", Self::Clang.assembled(assembling)?);
        }
        assembling(self.name());
        let partial = folder.join(format!(".{version}.partial"));
        cache::remove(&partial)?;
        fs::create_dir_all(&partial).map_err(CacheError::at(&partial))?;
        run(install.arg(&partial)).map_err(|source| ToolchainError::Unavailable {
            name: self.name(),
            source,
        })?;
        fs::rename(&partial, &finished).map_err(CacheError::at(&finished))?;
        cache::sweep(&folder, self.name(), &finished)?;
        Ok(finished)
    }

    fn version(self) -> Result<String, CacheError> {
        let mut fingerprint = Fingerprint::new();
        for source in self.sources() {
            fingerprint.path(&source)?;
        }
        Ok(format!("{}-{}", self.name(), fingerprint.finish()))
    }
}

/// Refuses where a program that a toolchain is run by is not there.
pub(crate) fn require(
    program: &'static str,
    argument: &str,
    remedy: &'static str,
) -> Result<(), ToolchainError> {
    match run(command(program).arg(argument)) {
        Ok(_) => Ok(()),
        Err(source) => Err(ToolchainError::Missing {
            program,
            remedy,
            source,
        }),
    }
}

/// Whether the Rust toolchain on `PATH` compiles for wasm. Where rustup manages it and may download, it is
/// asked for the targets; that ends within seconds either way.
fn own_rust_has_targets() -> bool {
    if has_targets() {
        return true;
    }
    // Who sets this to 0 does not want rustup to download as a side effect of something else.
    let may_download = env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0");
    may_download
        && run(command("rustup").args(["target", "add"]).args(RUST_TARGETS)).is_ok()
        && has_targets()
}

fn has_targets() -> bool {
    RUST_TARGETS.iter().all(|target| {
        let print = ["--print", "target-libdir", "--target", target];
        let libdir = run(command("rustc").args(print));
        libdir.is_ok_and(|libdir| Path::new(libdir.trim()).is_dir())
    })
}
