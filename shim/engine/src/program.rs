//! A program: compiled wasm together with the world that it is written for.

mod compiled;

use std::fs::File;
#[cfg(feature = "compile")]
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use wasmtime::Module;
use wasmtime::component::Component;

use crate::config::BoxedError;
use crate::{Binary, End, Engine, Grants, NotWasm, RunError, Stop, World, world};

/// Which file to run and what to call in it, as an image's entrypoint says it: `path` or
/// `path#function`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file. Empty where an image is the module itself and the entrypoint only names a function.
    pub path: PathBuf,
    /// An exported function that takes nothing; without it the world's own start is called.
    pub function: Option<String>,
}

impl FromStr for Entry {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, function) = match text.split_once('#') {
            Some((path, function)) if !function.is_empty() => (path, Some(function.to_owned())),
            Some((path, _)) => (path, None),
            None => (text, None),
        };
        Ok(Self {
            path: path.into(),
            function,
        })
    }
}

/// Why some wasm cannot be run at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there, or may not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file, as this process names it.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("not wasm")]
    NotWasm(#[from] NotWasm),
    /// It was compiled elsewhere: native code that nobody here can vouch for.
    #[error("a {form}: code compiled elsewhere is refused, ship the wasm itself")]
    Precompiled {
        /// What it is.
        form: Binary,
    },
    /// The text format does not parse.
    #[error("text format with an error")]
    Text {
        /// Where and what.
        source: BoxedError,
    },
    /// It does not validate.
    #[error("invalid {form}")]
    Invalid {
        /// What it claims to be.
        form: Binary,
        /// Where and what.
        source: BoxedError,
    },
    /// Compiled code that was made for another engine or another processor, or is none at all.
    #[error("the compiled code does not fit this engine")]
    Foreign {
        /// What differs.
        source: BoxedError,
    },
    /// Compiled code that cannot be mapped.
    #[error("cannot map the compiled code")]
    Unmapped {
        /// What the kernel said. A file system that is mounted `noexec` refuses permission.
        source: BoxedError,
    },
    /// No world is recognised in its exports.
    #[error(transparent)]
    World(#[from] world::Unrecognised),
}

/// Compiled wasm that is ready to run.
pub struct Program {
    pub(crate) engine: Engine,
    pub(crate) code: Code,
    world: World,
    /// What keeps the lock on the file of compiled code, where wasmtime does not.
    held: Option<File>,
}

pub(crate) enum Code {
    Module(Module),
    Component(Component),
}

impl Program {
    /// Reads and compiles a file.
    ///
    /// # Errors
    /// [`LoadError`], of which [`LoadError::Read`] says that there was nothing to look at.
    #[cfg(feature = "compile")]
    pub fn from_file(
        engine: &Engine,
        path: &Path,
        function: Option<&str>,
    ) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(engine, &bytes, function)
    }

    /// Compiles a module or a component, binary or text.
    ///
    /// # Errors
    /// [`LoadError`] when the bytes are not wasm, do not validate, or export nothing that can be
    /// started.
    #[cfg(feature = "compile")]
    pub fn from_bytes(
        engine: &Engine,
        bytes: &[u8],
        function: Option<&str>,
    ) -> Result<Self, LoadError> {
        let binary = Binary::read(bytes)?;
        let (form, bytes) = (binary.form, &*binary.bytes);
        let invalid = |source: wasmtime::Error| LoadError::Invalid {
            form,
            source: source.into(),
        };
        let code = match form {
            Binary::Component => {
                Code::Component(Component::from_binary(engine.wasmtime(), bytes).map_err(invalid)?)
            }
            _ => Code::Module(Module::from_binary(engine.wasmtime(), bytes).map_err(invalid)?),
        };
        Self::of_code(engine, code, function)
    }

    fn of_code(engine: &Engine, code: Code, function: Option<&str>) -> Result<Self, LoadError> {
        let world = match &code {
            Code::Module(module) => World::of_module(module, function)?,
            Code::Component(component) => World::of_component(component, engine, function)?,
        };
        Ok(Self {
            engine: engine.clone(),
            code,
            world,
            held: None,
        })
    }

    /// The world that its exports say it is written for.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Runs it to its end. A serving world runs until `stop` is requested or its host fails.
    ///
    /// Must be called on a tokio runtime with time and I/O enabled.
    ///
    /// # Errors
    /// [`RunError`] when the guest could not be started. What a started guest does wrong is an
    /// [`End`].
    pub async fn run(&self, grants: Grants, stop: Stop) -> Result<End, RunError> {
        world::run(self, grants, stop).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entrypoints_name_a_file_and_perhaps_a_function() {
        let entry = |text: &str| {
            let entry = Entry::from_str(text).unwrap();
            (entry.path.display().to_string(), entry.function)
        };
        assert_eq!(entry("/app.wasm"), ("/app.wasm".to_owned(), None));
        assert_eq!(
            entry("/app.wasm#go"),
            ("/app.wasm".to_owned(), Some("go".to_owned()))
        );
        assert_eq!(entry("#go"), (String::new(), Some("go".to_owned())));
        assert_eq!(entry("/app.wasm#"), ("/app.wasm".to_owned(), None));
        assert_eq!(entry("a#b#c"), ("a".to_owned(), Some("b#c".to_owned())));
    }
}
