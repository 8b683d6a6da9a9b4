//! One more process in a container that is there: `exec`.
//!
//! A throw-away process enters the container's control group and namespaces and forks the process that is
//! wanted, which is a child of the supervisor. Not by libcontainer, whose way of doing this leaves out the
//! container's seccomp profile.
//!
//! Architecture invariant: a step that fails ends the process, and is the reason why there is none. What
//! runs in the end has no more than the container's first process, or what the exec's own spec says.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use coracle_cgroups::Cgroup;
use libcontainer::seccomp;
use libcontainer::syscall::syscall::create_syscall;
use nix::fcntl::{OFlag, openat};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use oci_spec::runtime::{LinuxSeccomp, Process};
use serde::{Deserialize, Serialize};

use crate::guest::{self, Guest};
use crate::isolation::{self, Ends};
use crate::maker::Stdio;
use crate::namespaces::Namespaces;
use crate::narrow::{self, Bundle};
use crate::plan::{self, Plan};
use crate::{cleanup, message, outcome, spawn};

/// A process to run in a container.
#[derive(Debug)]
pub struct Exec {
    /// The container's folder.
    pub bundle: PathBuf,
    /// The container's first process: a child of the calling process that it has not collected.
    pub first: i32,
    /// What to run, as JSON: the `process` of an OCI spec.
    pub process: Vec<u8>,
    /// What it reads and writes.
    pub streams: Streams,
}

/// What a process reads and writes.
#[derive(Debug)]
pub enum Streams {
    /// These.
    Open(Stdio),
    /// A terminal, which is made in the container: [`Executing::terminal`].
    Terminal,
}

/// A process that is being prepared.
#[derive(Debug)]
pub struct Executing {
    /// Becomes readable when it runs, or will not: [`Executed::hear`].
    pub outcome: OwnedFd,
    /// Becomes readable when it asks what to run: [`answer`](crate::answer).
    pub questions: OwnedFd,
    /// Where the other side of its terminal comes from: [`receive_file`](crate::receive_file).
    pub terminal: Option<OwnedFd>,
}

/// What became of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Executed {
    /// It runs, as a child of the process that called [`exec`].
    Running {
        /// Its process id.
        pid: i32,
    },
    /// There is nothing to run.
    Refused {
        /// The exit code that it would have had.
        code: u8,
        /// Why, for people.
        reason: String,
    },
}

/// Starts a process in a container, and returns at once.
///
/// # Errors
/// When the container's first process is gone, or the kernel has no socket or process to give.
///
/// The calling process must have one thread and a handler that reaps its children.
pub fn exec(exec: Exec) -> io::Result<Executing> {
    // From here on its number cannot come to mean another process.
    let first = File::open(format!("/proc/{}", exec.first))?;
    let (outcome, tell) = message::pair()?;
    let (questions, ask) = message::pair()?;
    let (terminal, ends) = match exec.streams {
        Streams::Open(stdio) => (None, Ends::Streams(stdio)),
        Streams::Terminal => {
            let (here, there) = message::pair()?;
            (Some(here), Ends::Terminal(there))
        }
    };
    let wanted = Wanted {
        bundle: exec.bundle,
        first,
        process: exec.process,
        ends,
        questions: ask,
    };
    let mut keep = wanted.descriptors();
    keep.push(tell.as_raw_fd());
    spawn::fork(&keep, move || work(wanted, &tell))?;
    Ok(Executing {
        outcome,
        questions,
        terminal,
    })
}

impl Executed {
    /// What became of it; blocks until that is known.
    ///
    /// # Errors
    /// Why it could not be made one of the container's processes, for people.
    pub fn hear(outcome: BorrowedFd<'_>) -> Result<Self, String> {
        outcome::hear(outcome)
    }
}

/// What the throw-away processes hand on to each other.
struct Wanted {
    bundle: PathBuf,
    /// The folder in `/proc` of the container's first process.
    first: File,
    process: Vec<u8>,
    ends: Ends,
    questions: OwnedFd,
}

impl Wanted {
    fn descriptors(&self) -> Vec<RawFd> {
        let mut all = vec![self.first.as_raw_fd()];
        all.extend(self.needed());
        all
    }

    /// What the process itself needs.
    fn needed(&self) -> Vec<RawFd> {
        let mut all = vec![self.questions.as_raw_fd()];
        match &self.ends {
            Ends::Streams(stdio) => all.extend(stdio.numbers()),
            Ends::Terminal(socket) => all.push(socket.as_raw_fd()),
        }
        all
    }
}

/// What the container's own spec says about it.
struct Prepared {
    process: Process,
    profile: Option<LinuxSeccomp>,
    /// The container's own command may be its image's wasm layer, and no other.
    may_be_the_image: bool,
    group: Option<Cgroup>,
}

impl Prepared {
    fn load(wanted: &Wanted) -> Result<Self> {
        let process: Process = serde_json::from_slice(&wanted.process)
            .context("what is to be run is no `process` of an OCI spec")?;
        refuse_unknown(&process)?;
        let bundle = Bundle::load(&wanted.bundle)?;
        let group = bundle.control_group();
        let group = group.map(|path| cleanup::group(&path)).transpose()?;
        let linux = bundle.spec.linux().as_ref();
        let profile = linux.and_then(|linux| linux.seccomp().clone());
        ensure!(
            !profile.as_ref().is_some_and(seccomp::is_notify),
            "the container's seccomp profile asks another process (SCMP_ACT_NOTIFY): not supported"
        );
        let own = bundle.spec.process().as_ref();
        let command = |process: &Process| process.args().as_ref()?.first().cloned();
        Ok(Self {
            may_be_the_image: own.and_then(command) == command(&process),
            process,
            profile,
            group,
        })
    }
}

/// What is not done is not passed over in silence.
fn refuse_unknown(process: &Process) -> Result<()> {
    let unknown = [
        ("scheduler", process.scheduler().is_some()),
        ("ioPriority", process.io_priority().is_some()),
        ("execCPUAffinity", process.exec_cpu_affinity().is_some()),
    ];
    for (name, is_there) in unknown {
        ensure!(!is_there, "`{name}` is not supported for exec");
    }
    Ok(())
}

/// The whole life of the first throw-away process: it starts the second one in the control group, or
/// becomes it.
fn work(wanted: Wanted, outcome: &OwnedFd) -> i32 {
    let prepared = match Prepared::load(&wanted) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(outcome, &error),
    };
    let group = prepared.group.as_ref().map(Cgroup::directory).transpose();
    let group = match group.context(cleanup::GROUP) {
        Ok(group) => group.flatten(),
        Err(error) => return refuse(outcome, &error),
    };
    let Some(group) = group else {
        let joined = prepared.group.as_ref().map_or(Ok(()), Cgroup::join_self);
        return match joined.context(cleanup::GROUP) {
            Ok(()) => join(wanted, prepared, outcome),
            Err(error) => refuse(outcome, &error),
        };
    };
    let mut keep = wanted.descriptors();
    keep.push(outcome.as_raw_fd());
    // Starting in the group costs a tenth of a millisecond, moving there ten.
    match spawn::fork_sibling(Some(group.as_fd()), &keep, || {
        join(wanted, prepared, outcome)
    }) {
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
    outcome::tell::<Executed>(outcome.as_fd(), Err(format!("{error:#}")))
}

/// The rest of the life of the process that is in the control group: it joins the namespaces, forks the
/// process that is wanted, and tells what became of it.
fn join(wanted: Wanted, prepared: Prepared, outcome: &OwnedFd) -> i32 {
    let executed = limit(&wanted.first, &prepared.process)
        .and_then(|()| start(wanted, prepared))
        .map_err(|error| format!("{error:#}"))
        .and_then(|(report, pid)| follow(report.as_fd(), pid));
    outcome::tell(outcome.as_fd(), executed)
}

/// Sets what only the host's root may.
fn limit(first: &File, process: &Process) -> Result<()> {
    const SCORE: &str = "oom_score_adj";
    let score = match process.oom_score_adj() {
        Some(score) => score.to_string(),
        None => read_in(first, SCORE)?,
    };
    std::fs::write(Path::new("/proc/self").join(SCORE), score.trim())
        .with_context(|| format!("set {SCORE} to {}", score.trim()))?;
    for limit in process.rlimits().iter().flatten() {
        create_syscall()
            .set_rlimit(limit)
            .with_context(|| format!("set {}", limit.typ()))?;
    }
    Ok(())
}

fn read_in(folder: &File, name: &str) -> Result<String> {
    let opened = openat(
        folder,
        name,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    );
    let mut text = String::new();
    opened
        .map_err(io::Error::from)
        .and_then(|file| File::from(file).read_to_string(&mut text))
        .with_context(|| format!("read {name} of the container's first process"))?;
    Ok(text)
}

/// Joins the namespaces, and forks.
fn start(wanted: Wanted, prepared: Prepared) -> Result<(OwnedFd, i32)> {
    let namespaces = Namespaces::of(&wanted.first)?;
    // Who is in the container must not trace, or look into, a process that is not finished.
    prctl::set_dumpable(false).context("hide from the container")?;
    namespaces.join()?;
    let (report, tell) = message::pair()?;
    let mut keep = wanted.needed();
    keep.push(tell.as_raw_fd());
    let pid = spawn::fork_sibling(None, &keep, move || live(wanted, prepared, &tell))
        .context("start a process in the container")?;
    Ok((report, pid.as_raw()))
}

/// What the process says before it is somebody else.
#[derive(Deserialize, Serialize)]
enum Report {
    /// It runs from here on, unless a refusal follows.
    Ready,
    /// It cannot run.
    Refused { code: u8, reason: String },
}

/// Waits until the process has become what it was to be: then nobody has the socket any more.
fn follow(report: BorrowedFd<'_>, pid: i32) -> Result<Executed, String> {
    let mut is_ready = false;
    loop {
        match outcome::next(report) {
            Some(told) => match told? {
                Report::Ready => is_ready = true,
                Report::Refused { code, reason } => return Ok(Executed::Refused { code, reason }),
            },
            None if is_ready => return Ok(Executed::Running { pid }),
            None => return Err("the process ended before it ran anything".to_owned()),
        }
    }
}

/// The life of the process itself.
fn live(wanted: Wanted, prepared: Prepared, report: &OwnedFd) -> ! {
    let code = run(wanted.ends, &wanted.questions, prepared, report);
    // Not by returning: by now somebody else has closed what would be dropped here.
    spawn::end(code)
}

fn run(ends: Ends, questions: &OwnedFd, prepared: Prepared, report: &OwnedFd) -> i32 {
    let Prepared {
        mut process,
        profile,
        may_be_the_image,
        ..
    } = prepared;
    narrow::narrow_process(&mut process, Path::new("/"));
    let keep = [questions.as_raw_fd(), report.as_raw_fd()];
    let plan = isolation::isolate(&process, profile.as_ref(), ends, &keep)
        .and_then(|()| Plan::of(&process, questions, may_be_the_image));
    let say = |said: Result<Report, String>| outcome::tell(report.as_fd(), said);
    let refuse = |code: u8, reason: &str| {
        let reason = outcome::cut(reason);
        say(Ok(Report::Refused { code, reason }));
        i32::from(code)
    };
    match plan {
        Err(error) => say(Err(format!("{error:#}"))),
        Ok(Plan::Refuse { code, reason }) => refuse(code, &reason),
        Ok(Plan::Execute(path)) => {
            say(Ok(Report::Ready));
            let (code, reason) = plan::execute(&path, &process);
            refuse(code, &reason)
        }
        Ok(Plan::Run {
            name,
            code,
            function,
        }) => {
            say(Ok(Report::Ready));
            let guest = Guest {
                name,
                code: File::from(code),
                function,
            };
            i32::from(guest::run(guest, &process))
        }
        Ok(Plan::Open | Plan::Sleep) => say(Err("nothing was decided".to_owned())),
    }
}
