//! The guest programs that tests and demos run, one tiny program per behaviour, and what builds them.
//!
//! A program lies in `programs/<language>/`; its file stem is its name here and the name of its test in
//! `integration`. [`for_each_guest!`] lets the tests fail to compile where a guest has none.
//!
//! Built files are kept in [`cache_folder`], under a name that holds a hash of everything that goes into
//! them. [`build_all`] builds what is missing there, with toolchains it assembles in the same folder;
//! [`built`] finds what is there.
//!
//! Architecture invariant: nothing here runs a guest, and nothing is written outside of the cache folder.

mod build_all;
mod built;
mod cache;
mod command;
mod fingerprint;
mod program;
mod recipe;
mod toolchain;

use std::path::PathBuf;

pub use build_all::{BuildError, Event, Report, Skipped, build, build_all};
pub use built::{LookupError, built, find};
pub use cache::{CacheError, cache_folder};
pub use command::CommandError;
pub use program::{Program, Target};
pub use toolchain::ToolchainError;

/// One guest program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// The program's file stem, which is an identifier, and the name of its test.
    pub name: &'static str,
    /// What it is written in.
    pub language: Language,
    /// The program's file or folder, below `programs/`.
    source: &'static str,
}

/// What a guest is written in, and for Rust also what it is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// A core module for WASI preview 1.
    Rust,
    /// The core module of a Rust program, made a component by the preview 1 adapter.
    RustAdapted,
    /// A component that imports its own world and nothing else.
    RustComponent,
    /// A core module in the text format.
    Wat,
    /// A core module for WASI preview 1.
    C,
    /// A core module for WASI preview 1.
    Go,
    /// A component that holds a JavaScript engine.
    JavaScript,
    /// A component that holds a Python interpreter.
    Python,
}

impl Guest {
    fn path(&self) -> PathBuf {
        source_folder().join("programs").join(self.source)
    }
}

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// All guests, sorted by name.
pub fn catalogue() -> &'static [Guest] {
    CATALOGUE
}

/// Where the sources of this crate are; they are needed whenever a guest is built or looked up.
fn source_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_identifiers() {
        for Guest { name, .. } in catalogue() {
            let mut letters = name.chars();
            assert!(
                letters
                    .next()
                    .is_some_and(|first| first.is_ascii_lowercase()),
                "{name}"
            );
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(letters.all(is_part), "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = catalogue().iter().map(|guest| guest.name).collect();
        assert_eq!(names.len(), catalogue().len());
    }

    #[test]
    fn every_source_exists() {
        for guest in catalogue() {
            assert!(guest.path().exists(), "{guest:?}");
        }
    }

    #[test]
    fn the_macro_lists_the_catalogue() {
        let mut listed = Vec::new();
        macro_rules! push {
            ($name:ident) => {
                listed.push(stringify!($name));
            };
        }
        for_each_guest!(push);
        let names: Vec<_> = catalogue().iter().map(|guest| guest.name).collect();
        assert_eq!(listed, names);
    }
}
