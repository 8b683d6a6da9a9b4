//! Giving up everything that a compiler does not need.

mod filter;

use std::io;

use anyhow::{Context as _, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, chdir, geteuid, pivot_root, setgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, Pid, Signal, getppid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// What a process has inside.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox {
    /// Address space in bytes.
    pub memory: u64,
    /// Processor time in seconds.
    pub processor: u64,
    /// Size of a file that it writes, in bytes.
    pub output: u64,
    /// User id and group id.
    pub user: u32,
    /// The process that it was started by, and ends with.
    pub parent: Option<i32>,
}

/// Where the empty root is mounted: a folder that every Linux has. Only this process sees the mount.
const NEW_ROOT: &str = "/proc";

/// Open descriptors: the standard ones and their duplicates.
const FILES: u64 = 16;

/// Processes and threads of the user, who may be `nobody` and have others on the node. The filter of
/// system calls allows no processes at all; this bounds the threads.
const THREADS: u64 = 4096;

/// Seconds between the signal that tells of the end of processor time and the one that cannot be caught.
const GRACE: u64 = 2;

impl Sandbox {
    /// Enters the sandbox. There is no way back. Only the calling thread and those that it starts later are
    /// inside, so there must not be others.
    ///
    /// # Errors
    /// Names the step that failed; the process has to end then.
    pub fn enter(&self) -> anyhow::Result<()> {
        let user = geteuid();
        ensure!(
            user.is_root(),
            "the sandbox is made by root, and this is user {user}: it needs to leave the node's \
             namespaces, mount an empty root and take on another user"
        );
        unshare(
            CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWNET
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWUTS,
        )
        .context("cannot leave the node's namespaces")?;
        empty_root().context("cannot enter an empty root")?;
        self.limit()?;
        self.become_nobody()?;
        // After the change of user, which takes it back.
        self.end_with_parent()?;
        filter::install().context("cannot filter system calls")
    }

    fn limit(&self) -> anyhow::Result<()> {
        for (resource, soft, hard) in [
            (Resource::RLIMIT_AS, self.memory, self.memory),
            (
                Resource::RLIMIT_CPU,
                self.processor,
                self.processor.saturating_add(GRACE),
            ),
            (Resource::RLIMIT_FSIZE, self.output, self.output),
            (Resource::RLIMIT_CORE, 0, 0),
            (Resource::RLIMIT_NOFILE, FILES, FILES),
            (Resource::RLIMIT_NPROC, THREADS, THREADS),
            (Resource::RLIMIT_MEMLOCK, 0, 0),
            (Resource::RLIMIT_MSGQUEUE, 0, 0),
        ] {
            setrlimit(resource, soft, hard)
                .with_context(|| format!("cannot limit {resource:?} to {soft}"))?;
        }
        Ok(())
    }

    fn become_nobody(&self) -> anyhow::Result<()> {
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.user));
        setgroups(&[]).context("cannot leave all groups")?;
        setresgid(group, group, group)
            .with_context(|| format!("cannot become group {}", self.user))?;
        setresuid(user, user, user).with_context(|| format!("cannot become user {}", self.user))?;
        rustix::thread::clear_ambient_capability_set()
            .context("cannot give up ambient capabilities")?;
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).context("cannot give up capabilities")?;
        rustix::thread::set_no_new_privs(true).context("cannot forbid new privileges")?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context("cannot forbid looking into this process")
    }

    fn end_with_parent(&self) -> anyhow::Result<()> {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context("cannot ask to end with the parent")?;
        let now = getppid().map(Pid::as_raw_pid);
        ensure!(
            now == Some(parent),
            "process {parent}, which this one was to end with, has ended already"
        );
        Ok(())
    }
}

/// An empty, read-only file system as the root, and nothing of the node's left in the namespace.
fn empty_root() -> nix::Result<()> {
    let nothing = None::<&str>;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(
        Some("none"),
        NEW_ROOT,
        Some("tmpfs"),
        flags,
        Some("size=4k,nr_inodes=2,mode=0555"),
    )?;
    chdir(NEW_ROOT)?;
    // The old root is put over the new one, and taken away there: no folder is needed for it.
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")
}

/// Closes every descriptor but standard input, output and error. To be called before anything is opened.
///
/// # Errors
/// What the kernel said.
#[expect(
    unsafe_code,
    reason = "closing what was inherited has no safe form: nobody here owns it"
)]
pub fn close_all_but_standard() -> io::Result<()> {
    // SAFETY:
    // - nothing in this process has opened a descriptor yet, so no owner loses one;
    // - the standard ones are not in the range.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
