//! How a guest is built, one module a kind of compiler.

mod cargo;
mod component;
mod foreign;

use std::fs;
use std::path::{Path, PathBuf};

use crate::build_all::BuildError;
use crate::cache::CacheError;
use crate::fingerprint::Fingerprint;
use crate::toolchain::{Toolchain, ToolchainError, Tools, require};
use crate::{Guest, Language, source_folder};

/// The recipes themselves: a changed flag must lead to changed guests.
const TEXT: [&str; 4] = [
    include_str!("recipe.rs"),
    include_str!("recipe/cargo.rs"),
    include_str!("recipe/component.rs"),
    include_str!("recipe/foreign.rs"),
];

impl Language {
    /// Guests of languages that share a lane are built one after another; lanes run beside each other.
    pub(crate) fn lane(self) -> Language {
        match self {
            Self::RustAdapted | Self::RustComponent => Self::Rust,
            other => other,
        }
    }

    /// Whether nothing works without it, so that a machine that cannot build it is no use at all.
    pub(crate) fn is_required(self) -> bool {
        matches!(self.lane(), Self::Rust | Self::Wat)
    }

    fn toolchain(self) -> Option<Toolchain> {
        match self {
            Self::Rust | Self::RustAdapted | Self::RustComponent => Some(Toolchain::Rust),
            Self::C => Some(Toolchain::Clang),
            Self::JavaScript => Some(Toolchain::JavaScript),
            Self::Python => Some(Toolchain::Python),
            Self::Go | Self::Wat => None,
        }
    }

    /// What the guests of a language are built with; `assembling` is told the name of a toolchain that is
    /// not there yet.
    pub(crate) fn tools(self, assembling: &dyn Fn(&'static str)) -> Result<Tools, ToolchainError> {
        match self {
            Self::Go => require("go", "version", "Go 1.21 or newer (Debian: golang-go)")?,
            Self::C | Self::JavaScript => require("node", "--version", "Node.js 20 or newer")?,
            Self::Python => require("python3", "--version", "Python 3.10 or newer")?,
            Self::Rust | Self::RustAdapted | Self::RustComponent | Self::Wat => {}
        }
        self.toolchain().map_or_else(
            || Ok(Tools::on_path()),
            |toolchain| toolchain.ensure(assembling),
        )
    }
}

/// The hash of all that goes into a guest. Of compilers on `PATH` only this crate's own rustc counts: to ask
/// the others on every look-up would cost more than a stale file, which their new versions do not make wrong.
pub(crate) fn fingerprint(guest: &Guest) -> Result<String, CacheError> {
    let mut fingerprint = Fingerprint::new();
    for text in TEXT {
        fingerprint.bytes(text.as_bytes());
    }
    for path in sources(guest) {
        fingerprint.path(&path)?;
    }
    for path in guest
        .language
        .toolchain()
        .map(Toolchain::sources)
        .unwrap_or_default()
    {
        fingerprint.path(&path)?;
    }
    match guest.language {
        Language::Rust | Language::RustComponent => {
            fingerprint.bytes(env!("GUESTS_RUSTC").as_bytes());
        }
        Language::RustAdapted => {
            fingerprint.bytes(env!("GUESTS_RUSTC").as_bytes());
            fingerprint.bytes(component::ADAPTER);
        }
        _ => {}
    }
    Ok(fingerprint.finish())
}

/// The sources of a guest, and the manifest that names the crates which translate some of them.
fn sources(guest: &Guest) -> Vec<PathBuf> {
    let programs = source_folder().join("programs");
    let mut sources = vec![guest.path()];
    match guest.language {
        Language::Rust | Language::RustAdapted | Language::RustComponent => {
            let workspace = cargo::workspace(guest);
            sources.extend([workspace.join("Cargo.toml"), workspace.join("Cargo.lock")]);
        }
        Language::JavaScript | Language::Python => sources.push(programs.join("wit")),
        Language::Wat | Language::C | Language::Go => {}
    }
    sources.push(source_folder().join("Cargo.toml"));
    sources
}

/// Builds a guest into the file `out`, with the tools of its language.
pub(crate) fn build(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    match guest.language {
        Language::Rust => cargo::module(guest, tools, out),
        Language::RustAdapted | Language::RustComponent => component::rust(guest, tools, out),
        Language::Wat => wat(guest, out),
        Language::C => foreign::c(guest, tools, out),
        Language::Go => foreign::go(guest, out),
        Language::JavaScript => foreign::js(guest, tools, out),
        Language::Python => foreign::python(guest, tools, out),
    }
}

fn wat(guest: &Guest, out: &Path) -> Result<(), BuildError> {
    let module = wat::parse_file(guest.path()).map_err(|source| BuildError::Wat {
        guest: guest.name,
        source,
    })?;
    fs::write(out, module).map_err(CacheError::at(out))?;
    Ok(())
}
