//! Running wasm as the first process of a finished container.
#![expect(unsafe_code, reason = "compiled code is mapped and run as it is")]

use std::fs::File;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use coracle_engine::{Engine, Grants, Output, Preopen, Program, process};
use oci_spec::runtime::Process;
use tokio::runtime::{Builder, Runtime};

use crate::{capabilities, spawn};

/// Compiled wasm, and what to call in it.
pub(crate) struct Guest {
    /// For messages: the file, or the digest of the layer.
    pub(crate) name: String,
    /// From the cache.
    pub(crate) code: File,
    /// The exported function, where the command names one.
    pub(crate) function: Option<String>,
}

/// Runs it to its end, and answers with the exit code.
pub(crate) fn run(guest: Guest, process: &Process) -> u8 {
    match prepare(&guest) {
        Ok((engine, runtime)) => {
            let Guest {
                name,
                code,
                function,
            } = guest;
            let load = {
                let engine = engine.clone();
                move || {
                    // SAFETY: the clerk took this file from the cache: this build's compiler wrote it, in
                    // a folder that root alone can write, and it is opened for reading only.
                    unsafe { Program::from_compiled(&engine, &code, function.as_deref()) }
                }
            };
            runtime.block_on(process::run(load, &name, grants(process)))
        }
        Err(error) => {
            process::report(&format!("{error:#}"));
            process::CANNOT_HOST
        }
    }
}

/// Gives up what the guest is not to have. Nothing of the guest has run yet.
fn prepare(guest: &Guest) -> Result<(Engine, Runtime)> {
    spawn::close_all_but(&[guest.code.as_raw_fd()]);
    // Standard error is the guest's own from here on.
    log::set_max_level(log::LevelFilter::Off);
    // A guest that writes to a closed pipe is told so.
    spawn::ignore(libc::SIGPIPE);
    capabilities::keep_what_a_program_would()?;
    // As an execution would: nothing of the host is left to be looked at, and a process that is not
    // dumpable cannot open its own descriptors by `/proc/self/fd`, by which components are mapped.
    nix::sys::prctl::set_dumpable(true).context("become dumpable")?;
    spawn::trim_memory();
    let engine = Engine::new().context("set up the engine")?;
    let runtime = Builder::new_current_thread().enable_all().build();
    Ok((engine, runtime.context("set up the engine's runtime")?))
}

/// What the container has, the guest gets: the kernel, and [`capabilities`] where it would act only on an
/// execution, take away what the pod's spec does not grant.
fn grants(process: &Process) -> Grants {
    let env = process.env().iter().flatten().map(|variable| {
        let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
        (key.to_owned(), value.to_owned())
    });
    let root = Preopen {
        host: "/".into(),
        guest: "/".to_owned(),
        read_only: false,
    };
    // libcontainer has changed to the working directory of the spec.
    let cwd = std::env::current_dir()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok());
    Grants {
        args: process.args().clone().unwrap_or_default(),
        env: env.collect(),
        cwd,
        preopens: vec![root],
        network: true,
        stdout: Output::Inherit,
        stderr: Output::Inherit,
    }
}
