//! The worlds that a guest can be written for: how each is recognised, and where each is linked.
//!
//! One module each, mirrored for the versions of WASI. Host functions are linked in those modules and
//! nowhere else.

mod command02;
mod command03;
mod function;
pub(crate) mod http;
mod wasip1;

use std::fmt;

use wasmtime::component::Component;
use wasmtime::component::types::{ComponentExtern, ComponentItem};
use wasmtime::{ExternType, Module};

pub use http::PORT;

use crate::program::Code;
use crate::{End, Engine, Grants, Program, RunError, Stop};

/// What a program is written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum World {
    /// A core module with `_start`, for WASI 0.1.
    Wasip1Command,
    /// A component that exports `wasi:cli/run@0.2`.
    Command02,
    /// A component that exports `wasi:cli/run@0.3`.
    Command03,
    /// A component that exports `wasi:http/incoming-handler@0.2`.
    HttpProxy02,
    /// A component that exports `wasi:http/handler@0.3`.
    HttpService03,
    /// One exported function without parameters, of a module or a component.
    Function(String),
}

/// The exports fit no world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecognised {
    /// There is nothing to start.
    #[error("nothing to start: it exports {}; {}", list(.exports), .accepted)]
    NoStart {
        /// The names of all exports.
        exports: Vec<String>,
        /// What would have been started.
        accepted: &'static str,
    },
    /// The entrypoint names a function that is not there.
    #[error("it has no exported function `{function}`; it exports {}", list(.exports))]
    NoFunction {
        /// The name after `#`.
        function: String,
        /// The names of all exports.
        exports: Vec<String>,
    },
    /// The entrypoint names a function that needs arguments.
    #[error(
        "the exported function `{function}` takes parameters ({parameters}); accepted are functions without"
    )]
    Parameters {
        /// The name after `#`.
        function: String,
        /// How many it takes.
        parameters: usize,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

const START_OF_MODULE: &str = "a module is started by `_start`, or by the function that the entrypoint names as `path#function`";
const START_OF_COMPONENT: &str = "a component is started by wasi:cli/run@0.2 or @0.3, \
     wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3, or by the function that the entrypoint \
     names as `path#function`";

impl World {
    /// Looks for `function`, or for the start of a command.
    pub(crate) fn of_module(module: &Module, function: Option<&str>) -> Result<Self, Unrecognised> {
        let wanted = function.unwrap_or("_start");
        let exports = || module.exports().map(|e| e.name().to_owned()).collect();
        match (module.get_export(wanted), function) {
            (Some(ExternType::Func(ty)), _) if ty.params().len() > 0 => {
                Err(Unrecognised::Parameters {
                    function: wanted.to_owned(),
                    parameters: ty.params().len(),
                })
            }
            (Some(ExternType::Func(_)), None) => Ok(Self::Wasip1Command),
            (Some(ExternType::Func(_)), Some(name)) => Ok(Self::Function(name.to_owned())),
            (_, Some(name)) => Err(Unrecognised::NoFunction {
                function: name.to_owned(),
                exports: exports(),
            }),
            (_, None) => Err(Unrecognised::NoStart {
                exports: exports(),
                accepted: START_OF_MODULE,
            }),
        }
    }

    /// Looks for `function`, or for the exports of the known worlds. A component that is both a
    /// command and a server is run as a command.
    pub(crate) fn of_component(
        component: &Component,
        engine: &Engine,
        function: Option<&str>,
    ) -> Result<Self, Unrecognised> {
        let ty = component.component_type();
        let exports: Vec<(&str, ComponentExtern<'_>)> = ty.exports(engine.wasmtime()).collect();
        let names = || exports.iter().map(|(name, _)| (*name).to_owned()).collect();
        if let Some(function) = function {
            let found = exports.iter().find(|(name, _)| *name == function);
            return match found.map(|(_, export)| &export.ty) {
                Some(ComponentItem::ComponentFunc(ty)) if ty.params().len() > 0 => {
                    let parameters = ty.params().len();
                    Err(Unrecognised::Parameters {
                        function: function.to_owned(),
                        parameters,
                    })
                }
                Some(ComponentItem::ComponentFunc(_)) => Ok(Self::Function(function.to_owned())),
                _ => Err(Unrecognised::NoFunction {
                    function: function.to_owned(),
                    exports: names(),
                }),
            };
        }
        let starts = [
            ("wasi:cli/run@0.2.", Self::Command02),
            ("wasi:cli/run@0.3.", Self::Command03),
            ("wasi:http/incoming-handler@0.2.", Self::HttpProxy02),
            ("wasi:http/handler@0.3.", Self::HttpService03),
        ];
        starts
            .into_iter()
            .find(|(prefix, _)| exports.iter().any(|(name, _)| name.starts_with(prefix)))
            .map(|(_, world)| world)
            .ok_or_else(|| Unrecognised::NoStart {
                exports: names(),
                accepted: START_OF_COMPONENT,
            })
    }

    /// Whether it serves until it is stopped, instead of ending by itself.
    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self, Self::HttpProxy02 | Self::HttpService03)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wasip1Command => f.write_str("wasip1 command"),
            Self::Command02 => f.write_str("wasi:cli/command@0.2"),
            Self::Command03 => f.write_str("wasi:cli/command@0.3"),
            Self::HttpProxy02 => f.write_str("wasi:http/proxy@0.2"),
            Self::HttpService03 => f.write_str("wasi:http/service@0.3"),
            Self::Function(name) => write!(f, "exported function `{name}`"),
        }
    }
}

pub(crate) async fn run(program: &Program, grants: Grants, stop: Stop) -> Result<End, RunError> {
    let engine = &program.engine;
    match (&program.code, program.world()) {
        (Code::Module(module), World::Function(name)) => {
            wasip1::run(engine, module, name, grants).await
        }
        (Code::Module(module), _) => wasip1::run(engine, module, "_start", grants).await,
        (Code::Component(component), world) => match world {
            World::Command03 => command03::run(engine, component, grants).await,
            World::HttpProxy02 | World::HttpService03 => {
                http::run(engine, component, world, grants, stop).await
            }
            World::Function(name) => function::run(engine, component, name, grants).await,
            World::Command02 | World::Wasip1Command => {
                command02::run(engine, component, grants).await
            }
        },
    }
}

#[cfg(feature = "compile")]
#[cfg(test)]
mod tests;
