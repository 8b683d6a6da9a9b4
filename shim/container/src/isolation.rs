//! What makes a process one of a container once it is in the container's namespaces and control group:
//! its streams, its user, and what it gives up. In the order of libcontainer's first process, except that
//! nothing is taken for granted that did not succeed.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use libcontainer::syscall::syscall::create_syscall;
use libcontainer::{apparmor, capabilities, seccomp, tty};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::stat::{Mode, SFlag, fstat, major, minor, umask};
use nix::unistd::{
    Gid, Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fchown, getcwd, setgroups, setresgid,
    setresuid, setsid,
};
use oci_spec::runtime::{LinuxSeccomp, Process, User};

use crate::maker::Stdio;
use crate::spawn;

/// What a process reads and writes.
#[derive(Debug)]
pub(crate) enum Ends {
    /// These streams.
    Streams(Stdio),
    /// A terminal that it makes itself, in the container; its other side goes through this socket.
    Terminal(OwnedFd),
}

/// The mask of new files where the spec names none, as under runc.
const UMASK: u32 = 0o022;

/// Makes this process one of the container. It keeps the descriptors `keep`, which carry nothing of the
/// host but messages.
///
/// # Errors
/// What was not possible. This process must end then: it has more than it should.
pub(crate) fn isolate(
    process: &Process,
    profile: Option<&LinuxSeccomp>,
    ends: Ends,
    keep: &[RawFd],
) -> Result<()> {
    setsid().context("begin a session")?;
    connect(ends)?;
    let is_final = process.no_new_privileges() == Some(true);
    if is_final {
        prctl::set_no_new_privs().context("set no_new_privs")?;
    }
    if let Some(name) = process.apparmor_profile() {
        apparmor::apply_profile(name)
            .with_context(|| format!("take the AppArmor profile {name:?}"))?;
    }
    mask(process.user())?;
    let is_there = go_to(process.cwd())?;
    hand_over_streams(Uid::from_raw(process.user().uid()))?;
    become_user(process.user())?;
    spawn::close_all_but(keep);
    // Without no_new_privs a filter needs privileges; with it, the filter comes as late as possible.
    if !is_final {
        filter(profile)?;
    }
    give_up_capabilities(process)?;
    if !is_there {
        chdir(process.cwd()).with_context(|| describe(process.cwd()))?;
    }
    let seen = getcwd().context("the working directory is not in the container")?;
    ensure!(
        seen.is_absolute(),
        "the working directory {} is not in the container",
        seen.display()
    );
    if is_final {
        filter(profile)?;
    }
    Ok(())
}

fn connect(ends: Ends) -> Result<()> {
    match ends {
        Ends::Terminal(socket) => {
            tty::setup_console(create_syscall().as_ref(), socket.into_raw_fd(), false)
                .context("make a terminal in the container")?;
        }
        Ends::Streams(Stdio {
            stdin,
            stdout,
            stderr,
        }) => {
            dup2_stdin(stdin).context("connect standard input")?;
            dup2_stdout(stdout).context("connect standard output")?;
            dup2_stderr(stderr).context("connect standard error")?;
        }
    }
    take_the_containers_null()
}

/// The host's `/dev/null` is replaced by the container's: whoever has the host's can change its mode.
fn take_the_containers_null() -> Result<()> {
    let [input, output, error] = [
        is_null(io::stdin().as_fd())?,
        is_null(io::stdout().as_fd())?,
        is_null(io::stderr().as_fd())?,
    ];
    if !(input || output || error) {
        return Ok(());
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.context("open /dev/null in the container")?;
    ensure!(
        is_null(null.as_fd())?,
        "/dev/null in the container is another file"
    );
    if input {
        dup2_stdin(&null).context("connect standard input")?;
    }
    if output {
        dup2_stdout(&null).context("connect standard output")?;
    }
    if error {
        dup2_stderr(&null).context("connect standard error")?;
    }
    Ok(())
}

fn is_null(stream: BorrowedFd<'_>) -> Result<bool> {
    let seen = fstat(stream).context("look at the standard streams")?;
    let kind = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT;
    Ok(kind == SFlag::S_IFCHR && (major(seen.st_rdev), minor(seen.st_rdev)) == (1, 3))
}

fn mask(user: &User) -> Result<()> {
    let asked = user.umask().unwrap_or(UMASK);
    let mode = Mode::from_bits(asked);
    let mode = mode.with_context(|| format!("umask {asked:#o}: accepted are 0 to 0o7777"))?;
    umask(mode);
    Ok(())
}

/// Goes to the working directory, unless only the user may: then later, as that user.
fn go_to(folder: &Path) -> Result<bool> {
    if folder.as_os_str().is_empty() {
        return Ok(true);
    }
    match chdir(folder) {
        Ok(()) => Ok(true),
        Err(Errno::EPERM | Errno::EACCES) => Ok(false),
        Err(errno) => Err(anyhow::Error::from(errno).context(describe(folder))),
    }
}

fn describe(folder: &Path) -> String {
    format!("go to the working directory {}", folder.display())
}

/// Lets the user open its own streams by `/dev/stdout` and the like, as under runc.
fn hand_over_streams(user: Uid) -> Result<()> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let kind = SFlag::from_bits_truncate(fstat(stream)?.st_mode) & SFlag::S_IFMT;
        let is_its_own = kind == SFlag::S_IFIFO || kind == SFlag::S_IFCHR && !is_null(stream)?;
        if !is_its_own {
            continue;
        }
        match fchown(stream, Some(user), None) {
            // A stream of the host's, as seen from the user namespace.
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS) => {}
            Err(errno) => bail!("hand the standard streams over to user {user}: {errno}"),
        }
    }
    Ok(())
}

fn become_user(user: &User) -> Result<()> {
    let groups = user.additional_gids().iter().flatten();
    let groups: Vec<Gid> = groups.copied().map(Gid::from_raw).collect();
    setgroups(&groups).with_context(|| format!("take the groups {groups:?}"))?;
    let (uid, gid) = (Uid::from_raw(user.uid()), Gid::from_raw(user.gid()));
    // What stays is decided by the spec, and not by the kernel on this occasion.
    prctl::set_keepcaps(true).context("keep capabilities")?;
    setresgid(gid, gid, gid).with_context(|| format!("become group {gid}"))?;
    setresuid(uid, uid, uid).with_context(|| format!("become user {uid}"))?;
    capabilities::reset_effective(create_syscall().as_ref()).context("keep capabilities")?;
    prctl::set_keepcaps(false).context("keep capabilities no longer")
}

fn filter(profile: Option<&LinuxSeccomp>) -> Result<()> {
    let Some(profile) = profile else {
        return Ok(());
    };
    seccomp::initialize_seccomp(profile).context("load the container's seccomp profile")?;
    Ok(())
}

fn give_up_capabilities(process: &Process) -> Result<()> {
    let sets = process.capabilities().as_ref();
    let sets = sets.context("nothing says which capabilities to keep")?;
    capabilities::drop_privileges(sets, create_syscall().as_ref()).context("drop capabilities")
}
