//! One wasm container: from what its OCI spec says to an exit code.

use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use containerd_shim_wasm::sandbox::Sandbox;
use containerd_shim_wasm::sandbox::context::{RuntimeContext, Source};
use coracle_engine::{Engine, Entry, Grants, LoadError, Output, Preopen, Program, process};
use tokio::runtime::Builder;

use crate::capabilities;

/// What runs everything that is no native program.
#[derive(Default)]
pub(crate) struct Guest;

impl Sandbox for Guest {
    /// Takes whatever the host did not recognise as native.
    ///
    /// The host answers a refusal here with its own fixed sentence and drops the reason. Refused by
    /// [`Sandbox::run_wasi`] instead, the reason stands in the container's log and its exit code says
    /// which kind it is.
    async fn can_handle(&self, _: &impl RuntimeContext) -> Result<()> {
        Ok(())
    }

    async fn run_wasi(&self, context: &impl RuntimeContext) -> Result<i32> {
        let_standard_input_end();
        let arg0 = context.args().first().map_or("", String::as_str);
        let Ok(entry) = arg0.parse::<Entry>();
        let source = context.entrypoint().source;
        let name = match &source {
            Source::File(_) if arg0.is_empty() => "no command".to_owned(),
            Source::File(_) => entry.path.display().to_string(),
            Source::Oci([layer]) => format!("layer {}", layer.config.digest()),
            Source::Oci(layers) => {
                process::report(&format!(
                    "the image has {} wasm layers; accepted is an image with one",
                    layers.len()
                ));
                return Ok(process::CANNOT_RUN.into());
            }
        };
        let grants = grants(context);
        let run = || run(&entry, &source, context.envs(), &name, grants);
        if let Err(error) = capabilities::keep_what_a_program_would() {
            process::report(&format!("{error:#}"));
            return Ok(process::CANNOT_HOST.into());
        }
        // Capabilities belong to a thread, and the workers of the host's runtime have kept theirs. So the
        // guest gets a runtime whose threads start here, without.
        let code = std::thread::scope(|scope| scope.spawn(run).join());
        Ok(match code {
            Ok(Ok(code)) => code.into(),
            Ok(Err(error)) => {
                process::report(&format!("{error:#}"));
                process::CANNOT_HOST.into()
            }
            Err(_panic) => process::CANNOT_HOST.into(),
        })
    }
}

/// Runs the guest on this thread, with what an executed program would have, and answers with its exit code.
fn run(
    entry: &Entry,
    source: &Source<'_>,
    env: &[String],
    name: &str,
    grants: Grants,
) -> Result<u8> {
    let engine = Engine::new()?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let load = || load(&engine, entry, source, env);
    Ok(runtime.block_on(process::run(load, name, grants)))
}

/// Makes standard input end when its last writer closes it.
///
/// The host opens the pipe for reading and writing, so this process would be a writer itself. Where the
/// pipe cannot be opened again (no `/proc`, another user's pipe), it stays as it is and never ends.
fn let_standard_input_end() {
    let reopened = File::open("/proc/self/fd/0").and_then(|read_only| {
        if read_only.metadata()?.file_type().is_fifo() {
            nix::unistd::dup2_stdin(&read_only)?;
        }
        Ok(())
    });
    if let Err(error) = reopened {
        log::warn!("standard input will not end: {error}");
    }
}

fn load(
    engine: &Engine,
    entry: &Entry,
    source: &Source<'_>,
    env: &[String],
) -> Result<Program, LoadError> {
    let function = entry.function.as_deref();
    match source {
        Source::Oci([layer]) => Program::from_bytes(engine, &layer.layer, function),
        _ => Program::from_file(engine, &find(&entry.path, env), function),
    }
}

/// The file that a command names: as it is when it has a slash, else the first one of that name in the
/// container's `PATH`, else the one in the working directory.
fn find(command: &Path, env: &[String]) -> PathBuf {
    if command.components().count() > 1 {
        return command.to_owned();
    }
    let path = env
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="));
    std::env::split_paths(path.unwrap_or_default())
        .map(|folder| folder.join(command))
        .find(|file| file.is_file())
        .unwrap_or_else(|| command.to_owned())
}

/// What the container has, the guest gets: the kernel, and [`capabilities`] where it would act only on an
/// execution, take away what the pod's spec does not grant.
fn grants(context: &impl RuntimeContext) -> Grants {
    let env = context.envs().iter().map(|variable| {
        let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
        (key.to_owned(), value.to_owned())
    });
    let root = Preopen {
        host: "/".into(),
        guest: "/".to_owned(),
        read_only: false,
    };
    // libcontainer has changed to the working directory of the OCI spec.
    let cwd = std::env::current_dir()
        .ok()
        .and_then(|path| path.into_os_string().into_string().ok());
    Grants {
        args: context.args().to_vec(),
        env: env.collect(),
        cwd,
        preopens: vec![root],
        network: true,
        stdout: Output::Inherit,
        stderr: Output::Inherit,
    }
}
