//! Forking: the only place of the host that does it, and nearly the only one with `unsafe`.
#![expect(
    unsafe_code,
    reason = "fork, and what a forked process must do first, have no safe form"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

/// `CLONE_INTO_CGROUP` of clone3(2): the child starts in the control group (version 2) of a directory.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks this process. The child has default signal handlers, keeps standard streams and `keep` and no
/// other descriptor, runs `work`, and exits with its answer.
///
/// # Errors
/// What the kernel says.
///
/// The calling process must have one thread: a lock that another one held would stay locked in the child.
pub(crate) fn fork(keep: &[RawFd], work: impl FnOnce() -> i32) -> io::Result<Pid> {
    let parent = nix::unistd::getpid();
    // SAFETY: this process has one thread, so the child may go on as the parent would: no lock is held by
    // a thread that the child does not have.
    child_of(unsafe { libc::fork() }.into(), keep, move || {
        end_with(parent);
        work()
    })
}

/// As [`fork`]; the child is one of this process's own parent. It starts in the control group (version 2)
/// whose directory `group` is, if there is one, and in the PID namespace that this process has joined.
///
/// # Errors
/// What the kernel says.
pub(crate) fn fork_sibling(
    group: Option<BorrowedFd<'_>>,
    keep: &[RawFd],
    work: impl FnOnce() -> i32,
) -> io::Result<Pid> {
    // SAFETY: all fields are integers, for which zero is the value of "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    // With CLONE_PARENT the exit signal is this process's own, and must not be named.
    arguments.flags = u64::from(libc::CLONE_PARENT.unsigned_abs());
    if let Some(group) = group {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    }
    // SAFETY: without CLONE_VM and without a stack of its own the child goes on here with a copy of this
    // memory, as after fork(2); this process has one thread. The kernel reads `size_of` bytes of
    // `arguments`, which live long enough.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    child_of(pid, keep, work)
}

fn child_of(pid: i64, keep: &[RawFd], work: impl FnOnce() -> i32) -> io::Result<Pid> {
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            start_afresh(keep);
            let code = work();
            // SAFETY: ends this process at once. Destructors and exit handlers belong to the parent, whose
            // memory this is a copy of.
            unsafe { libc::_exit(code) }
        }
        pid => i32::try_from(pid)
            .map(Pid::from_raw)
            .map_err(io::Error::other),
    }
}

/// Ends this process when its parent does: whoever cleans up after a supervisor that was killed must not
/// meet somebody who still makes what is being removed.
fn end_with(parent: Pid) {
    let asked = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    // It may have ended before it was asked.
    if asked.is_err() || nix::unistd::getppid() != parent {
        end(1);
    }
}

/// Leaves a forked process with nothing of its parent's that it was not meant to have.
fn start_afresh(keep: &[RawFd]) {
    close_all_but(keep);
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default action runs no code of this process. Signals that cannot be changed answer
        // an error, which changes nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    if SigSet::empty().thread_set_mask().is_err() {
        // Cannot be: there is no such error for a valid mask.
        end(1);
    }
}

/// Closes every descriptor but the standard streams and `keep`.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut kept: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().filter(|fd| *fd >= 3) {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: whoever owned these descriptors belongs to the parent's copy of this memory and is never
    // used or dropped here: the process ends by `_exit`, or by executing a program.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == -1 && Errno::last() == Errno::ENOSYS {
        close_each(first, last);
    }
}

/// For kernels before 5.9.
fn close_each(first: u32, last: u32) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<u32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    for fd in open {
        // SAFETY: as in `close_range`.
        unsafe { libc::close(fd.cast_signed()) };
    }
}

/// Makes a signal have no effect, or its default one.
pub(crate) fn ignore(signal: i32) {
    // SAFETY: ignoring runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Takes over a descriptor that this process inherited by number.
pub(crate) fn inherited(fd: RawFd) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd as _;
    // SAFETY: callers name a descriptor that `fork` was told to keep, once; its owner belongs to the
    // parent's copy of this memory and is not used here.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }
}

/// Gives memory that is free back to the kernel, so that the processes forked from here on do not share
/// (and then copy) pages that nobody uses.
pub(crate) fn trim_memory() {
    // SAFETY: has no precondition.
    unsafe { libc::malloc_trim(0) };
}

/// Ends this process at once.
pub(crate) fn end(code: i32) -> ! {
    // SAFETY: has no precondition. No destructor and no exit handler runs: in a forked process they
    // belong to the parent.
    unsafe { libc::_exit(code) }
}

/// Sends a signal by its number: real-time signals have no other name.
///
/// # Errors
/// What the kernel says.
pub fn send_real_time(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: kill(2) takes any numbers, and refuses those that mean nothing.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}
