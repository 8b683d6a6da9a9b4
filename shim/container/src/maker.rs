//! The maker: the throw-away process that mounts a container's root and calls libcontainer.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use coracle_cgroups::Cgroup;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::executor::Workload;
use crate::mount::{self, Mount};
use crate::narrow::{self, Bundle};
use crate::{cleanup, message, outcome, spawn};

/// A container to make.
#[derive(Debug)]
pub struct Request {
    /// Its name in containerd.
    pub id: String,
    /// The folder with `config.json` that containerd made for it.
    pub bundle: PathBuf,
    /// Its root file system. Empty when it is mounted already.
    pub mounts: Vec<Mount>,
    /// What its first process has as standard streams.
    pub stdio: Stdio,
    /// The path of a socket that is sent the terminal, where the spec asks for one.
    pub console: Option<PathBuf>,
}

/// Standard streams.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

impl Stdio {
    /// The descriptors, for processes that inherit them.
    pub(crate) fn numbers(&self) -> [RawFd; 3] {
        [&self.stdin, &self.stdout, &self.stderr].map(AsRawFd::as_raw_fd)
    }
}

/// A container that is being made.
#[derive(Debug)]
pub struct Making {
    /// The maker, a child of this process.
    pub maker: Pid,
    /// Becomes readable when the maker is done: [`Made::hear`].
    pub outcome: OwnedFd,
    /// Becomes readable when the container asks what to run: [`answer`](crate::answer).
    pub questions: OwnedFd,
}

/// A container that was made and waits to be started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Made {
    /// Its first process, a child of the process that called [`make`].
    pub pid: i32,
    /// Its control group, as the spec names it.
    pub control_group: Option<String>,
    /// Whether it holds a pod's namespaces and runs nothing.
    pub role: Role,
}

/// What a container is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Role {
    /// It holds the namespaces of a pod.
    Sandbox,
    /// It runs its command.
    Workload,
}

/// Forks a maker for this container, and returns at once.
///
/// # Errors
/// When the kernel has no socket or process to give.
///
/// The calling process must have one thread and a handler that reaps its children.
pub fn make(request: Request) -> io::Result<Making> {
    let (outcome, tell) = message::pair()?;
    let (questions, ask) = message::pair()?;
    let [stdin, stdout, stderr] = request.stdio.numbers();
    let keep = [stdin, stdout, stderr, tell.as_raw_fd(), ask.as_raw_fd()];
    let maker = spawn::fork(&keep, move || work(request, &tell, &ask))?;
    Ok(Making {
        maker,
        outcome,
        questions,
    })
}

impl Made {
    /// What a maker says at its end; blocks until then.
    ///
    /// # Errors
    /// Why there is no container, for people.
    pub fn hear(outcome: BorrowedFd<'_>) -> Result<Self, String> {
        outcome::hear(outcome)
    }
}

/// The whole life of a maker.
fn work(request: Request, outcome: &OwnedFd, questions: &OwnedFd) -> i32 {
    let prepared = match prepare(&request) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(outcome, &error),
    };
    let group = match prepared.directory() {
        Ok(Some(group)) => group,
        Ok(None) => return finish(request, prepared, outcome, questions),
        Err(error) => return refuse(outcome, &error),
    };
    let [stdin, stdout, stderr] = request.stdio.numbers();
    let keep = [
        stdin,
        stdout,
        stderr,
        outcome.as_raw_fd(),
        questions.as_raw_fd(),
    ];
    // Starting in the group costs a tenth of a millisecond, moving there ten.
    let started = spawn::fork_sibling(Some(group.as_fd()), &keep, || {
        finish(request, prepared, outcome, questions)
    });
    match started {
        Ok(_) => 0,
        Err(error) => {
            let error = anyhow::Error::from(error);
            refuse(
                outcome,
                &error.context("start in the container's control group"),
            )
        }
    }
}

fn refuse(outcome: &OwnedFd, error: &anyhow::Error) -> i32 {
    outcome::tell::<Made>(outcome.as_fd(), Err(format!("{error:#}")))
}

struct Prepared {
    group: Option<Cgroup>,
    control_group: Option<String>,
    resources: LinuxResources,
    role: Role,
    /// Where libcontainer finds the spec, and keeps its state.
    folder: PathBuf,
}

impl Prepared {
    /// The control group as a folder, where a process can be started in it.
    fn directory(&self) -> Result<Option<OwnedFd>> {
        match &self.group {
            Some(group) => group.directory().context(cleanup::GROUP),
            None => Ok(None),
        }
    }

    /// Moves this process into the control group, unless it was started in it.
    fn enter(&self) -> Result<()> {
        match &self.group {
            Some(group) if self.directory()?.is_none() => {
                group.enter_self(&self.resources).context(cleanup::GROUP)
            }
            _ => Ok(()),
        }
    }
}

/// Everything that comes before the container's processes.
fn prepare(request: &Request) -> Result<Prepared> {
    let bundle = Bundle::load(&request.bundle)?;
    let root = bundle.root();
    if !request.mounts.is_empty() {
        std::fs::create_dir_all(&root).with_context(|| format!("make {}", root.display()))?;
        mount_all(&request.mounts, &root)?;
    }
    let control_group = bundle.control_group();
    let role = if bundle.is_sandbox() {
        Role::Sandbox
    } else {
        Role::Workload
    };
    let resources = bundle.resources().cloned().unwrap_or_default();
    let group = match &control_group {
        Some(path) => {
            let group = cleanup::group(path)?;
            group.create(&resources).context(cleanup::GROUP)?;
            Some(group)
        }
        None => None,
    };
    let folder = bundle.narrow()?;
    Ok(Prepared {
        group,
        control_group,
        resources,
        role,
        folder,
    })
}

fn mount_all(mounts: &[Mount], root: &Path) -> Result<()> {
    for mount in mounts {
        if let Err(error) = mount.on(root) {
            mount::unmount(root).context("undo mounts")?;
            return Err(error.into());
        }
    }
    std::env::set_current_dir("/").context("go to /")
}

/// Calls libcontainer, and tells how it went.
fn finish(request: Request, prepared: Prepared, outcome: &OwnedFd, questions: &OwnedFd) -> i32 {
    let made = build(
        request,
        prepared,
        outcome.as_raw_fd(),
        questions.as_raw_fd(),
    );
    outcome::tell(outcome.as_fd(), made.map_err(|error| format!("{error:#}")))
}

fn build(request: Request, prepared: Prepared, outcome: RawFd, questions: RawFd) -> Result<Made> {
    prepared.enter()?;
    // libcontainer sets what the spec names, and leaves what this process has where it names nothing.
    nix::unistd::setgroups(&[]).context("drop supplementary groups")?;
    let is_sandbox = prepared.role == Role::Sandbox;
    let workload = Workload {
        outcome,
        questions: (!is_sandbox).then_some(questions),
        plan: Default::default(),
    };
    let container = ContainerBuilder::new(request.id, SyscallType::default())
        .with_executor(workload)
        .with_root_path(&prepared.folder)?
        .with_console_socket(request.console)
        .with_stdin(request.stdio.stdin)
        .with_stdout(request.stdio.stdout)
        .with_stderr(request.stdio.stderr)
        .as_init(&prepared.folder)
        .as_sibling(true)
        .with_systemd(false)
        .with_detach(true)
        .build()?;
    let pid = container.pid().context("libcontainer names no process")?;
    Ok(Made {
        pid: pid.as_raw(),
        control_group: prepared.control_group,
        role: prepared.role,
    })
}

/// Where libcontainer keeps the state of a container.
pub(crate) fn state(bundle: &Path, id: &str) -> PathBuf {
    narrow::own_folder(bundle).join(id)
}
