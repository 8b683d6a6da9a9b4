//! Programs in the languages that are here to prove that the language does not matter.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::build_all::BuildError;
use crate::cache::{self, CacheError};
use crate::command::{command, run};
use crate::toolchain::Tools;
use crate::{Guest, source_folder};

const WORLD: &str = "command";

pub(super) fn c(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    compile(
        guest,
        command("node")
            .arg(tools.file("compile.mjs"))
            .arg(guest.path())
            .arg(out),
    )
}

pub(super) fn go(guest: &Guest, out: &Path) -> Result<(), BuildError> {
    compile(
        guest,
        command("go")
            .current_dir(guest.path())
            .args([
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags=-s -w",
                "-o",
            ])
            .arg(out)
            .arg(".")
            .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("CGO_ENABLED", "0")])
            // The programs need nothing but the standard library of the Go that is there.
            .envs([
                ("GOTOOLCHAIN", "local"),
                ("GOPROXY", "off"),
                ("GOWORK", "off"),
            ]),
    )
}

pub(super) fn js(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    compile(
        guest,
        command("node")
            .arg(tools.file("componentize.mjs"))
            .arg(guest.path())
            .arg(source_folder().join("programs/wit"))
            .arg(WORLD)
            .arg(out),
    )
}

pub(super) fn python(guest: &Guest, tools: &Tools, out: &Path) -> Result<(), BuildError> {
    let path = guest.path();
    // The interpreter in the component runs the program once while it is made, and leaves a `__pycache__`
    // beside it: not among the sources.
    let scratch = cache::guests()?.join("python");
    fs::create_dir_all(&scratch).map_err(CacheError::at(&scratch))?;
    fs::copy(&path, scratch.join(path.file_name().unwrap_or_default()))
        .map_err(CacheError::at(&path))?;
    compile(
        guest,
        command("python3")
            // The package has no entry for `-m`, and its script an absolute path to the interpreter.
            .args([
                "-c",
                "import componentize_py; componentize_py.script()",
                "-d",
            ])
            .arg(source_folder().join("programs/wit"))
            .args(["-w", WORLD, "componentize"])
            .arg(path.file_stem().unwrap_or_default())
            .arg("-p")
            .arg(&scratch)
            .arg("-o")
            .arg(out)
            .env("PYTHONPATH", tools.file(""))
            // The toolchain is a finished thing.
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

fn compile(guest: &Guest, command: &mut Command) -> Result<(), BuildError> {
    run(command).map_err(|source| BuildError::Compile {
        guest: guest.name,
        source,
    })?;
    Ok(())
}
