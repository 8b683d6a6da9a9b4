//! `cargo xtask vm`: tests, a script or a shell on an emulated machine with cgroup v2.
//!
//! The machine sees the host's file system, so it runs what was just built; what it writes is gone with it,
//! except for the folder that it shares with the task.

mod executables;
mod initramfs;
pub(crate) mod keeper;
mod kernel;
mod machine;
mod share;
mod work;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};

use crate::build::{SHIM_FOLDER, cargo};
use crate::steps::{self, Steps};
use crate::{cache, guests, prerequisites, programs};
use machine::Machine;
use share::Share;

/// MiB.
const MEMORY: u32 = 4096;

/// Seconds.
const DEADLINE: u64 = 1800;

/// What the machine boots to, and what it does then.
#[derive(Args)]
pub(crate) struct Options {
    /// The first process: systemd with D-Bus, as on a real node, or a few lines of shell
    #[arg(long, value_enum, default_value_t = Init::Systemd)]
    init: Init,
    /// Tests to run: `native`, `wasm::guests::hello`; without any, a selection of all
    #[arg(long, num_args = 1.., value_name = "FILTER")]
    test: Vec<String>,
    /// Leave out tests whose name contains this
    #[arg(long, num_args = 1.., value_name = "FILTER")]
    skip: Vec<String>,
    /// Run a shell instead, with this terminal
    #[arg(long, conflicts_with_all = ["test", "skip", "script"])]
    shell: bool,
    /// Run this shell script instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["test", "skip"])]
    script: Option<PathBuf>,
    /// Memory of the machine in MiB; a Kubernetes cluster needs 8192
    #[arg(long, default_value_t = MEMORY)]
    memory: u32,
    /// Seconds after which the machine is taken away
    #[arg(long, default_value_t = DEADLINE)]
    deadline: u64,
}

impl Default for Options {
    /// As without any argument on the command line.
    fn default() -> Self {
        Self {
            init: Init::Systemd,
            test: Vec::new(),
            skip: Vec::new(),
            shell: false,
            script: None,
            memory: MEMORY,
            deadline: DEADLINE,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Init {
    Systemd,
    Plain,
}

/// What is run where nothing else is asked for: every way that leads to a cgroup, and one guest of each world.
const SELECTION: [&str; 10] = [
    "native::hello",
    "native::signals",
    "native::a_running",
    "pods::a_pod_answers",
    "node::nothing_is_left",
    "wasm::guests::hello_p2",
    "wasm::lifecycle",
    "wasm::pods::a_wasm_and_a_native_container_share_a_pod",
    "systemd",
    "groups",
];

/// How much longer the harness waits in there: the processor is emulated.
const PATIENCE: &str = "10";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::new(5);
    steps.step("install what is missing", || {
        prerequisites::install()?;
        prepare()
    })?;
    let shim = steps.step("build the shim", shim)?;
    let has_tests = !options.shell && options.script.is_none();
    steps.step("build the guests", || match has_tests {
        true => guests::build(&[]),
        false => Ok(()),
    })?;
    let work = steps.step("build what the machine runs", || work(options))?;
    steps.step("run the machine", || boot(options, &shim, &work))
}

/// The part of `cargo xtask test`: the selection. What a filter names has run outside.
///
/// # Errors
/// When a test fails. A machine that cannot be made here is no error: it is said.
pub(crate) fn test(shim: &Path, filter: Option<&str>) -> anyhow::Result<()> {
    if filter.is_some() {
        steps::say("  SKIPPED: the selection for this machine is not filtered (`cargo xtask vm`)");
        return Ok(());
    }
    if let Err(missing) = prepare() {
        steps::say(&format!(
            "  SKIPPED: no machine can be made here: {missing:#}"
        ));
        return Ok(());
    }
    let options = Options::default();
    boot(&options, shim, &work(&options)?)
}

/// Installs QEMU, and downloads the kernel.
fn prepare() -> anyhow::Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "it is made for x86-64 alone");
    prerequisites::install_for_vm()?;
    kernel::ready().map(drop)
}

/// The folder that the environment names, else the shim that is built here.
fn shim() -> anyhow::Result<PathBuf> {
    env::var_os(SHIM_FOLDER).map_or_else(programs::shim, |folder| Ok(folder.into()))
}

/// The script that the machine runs.
fn work(options: &Options) -> anyhow::Result<String> {
    if options.shell {
        return Ok("stty sane; cd; exec bash -i\n".to_owned());
    }
    if let Some(script) = &options.script {
        return std::fs::read_to_string(script)
            .with_context(|| format!("read {}", script.display()));
    }
    let words = if options.test.is_empty() {
        SELECTION.map(str::to_owned).to_vec()
    } else {
        options.test.clone()
    };
    let wanted = work::select(&words);
    let executables = executables::build(&work::names(&wanted))?;
    if wanted.contains_key("installer_systemd") {
        // Its tests run it as a program, which stands beside them.
        steps::run(cargo("build").args(["--locked", "--package", "coracle-node-installer"]))?;
    }
    let skipped = options.skip.iter();
    let arguments: Vec<String> = skipped
        .flat_map(|part| ["--skip".to_owned(), part.clone()])
        .collect();
    work::tests(&wanted, &executables, &arguments, options.init)
}

fn boot(options: &Options, shim: &Path, work: &str) -> anyhow::Result<()> {
    let kernel = kernel::ready()?;
    let share = Share::new()?;
    share.fill(work, &environment(shim)?)?;
    initramfs::write(&kernel, &share.path("scratch"), &share.path("initramfs"))?;
    let machine = Machine {
        kernel: &kernel,
        share: share.folder(),
        init: options.init,
        memory: options.memory,
    };
    if options.shell {
        return machine.converse();
    }
    steps::say("  the machine boots");
    let ended = machine
        .run(Duration::from_secs(options.deadline))
        .and_then(|()| share.result());
    if ended.is_err() {
        let kept = share.keep()?;
        steps::say(&format!("  console and logs are in {}", kept.display()));
    }
    ended
}

fn environment(shim: &Path) -> anyhow::Result<String> {
    let shim = std::path::absolute(shim)?;
    let Some(path) = env::var_os("PATH") else {
        bail!("PATH is not set");
    };
    let path = path.to_string_lossy();
    Ok(work::environment(&[
        ("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")),
        ("HOME", "/root".to_owned()),
        (
            "TERM",
            env::var("TERM").unwrap_or_else(|_| "dumb".to_owned()),
        ),
        (SHIM_FOLDER, work::path(&shim)?),
        ("CORACLE_CACHE", work::path(&cache::folder()?)?),
        ("CORACLE_PATIENCE", PATIENCE.to_owned()),
        ("CORACLE_TEST_LOGS", "/vm/share/logs".to_owned()),
        ("TMPDIR", "/vm/tmp".to_owned()),
    ]))
}
