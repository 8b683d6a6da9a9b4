//! The system calls that are left.

use std::collections::BTreeMap;

use anyhow::Context as _;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What a process with threads needs that reads, allocates, computes and writes.
const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Calls whose absence the C library and the standard library handle. The first is answered by the older
/// `clone`, whose flags can be looked at; the others would find nothing in an empty root.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_openat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_newfstatat,
];

/// Installs the filters for this thread and those that it starts. Of two filters the stricter answer
/// counts.
pub(super) fn install() -> anyhow::Result<()> {
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    apply(rules(ABSENT), SeccompAction::Allow, absent)?;
    let mut allowed = rules(&[ALLOWED, ABSENT].concat());
    allowed.extend(conditional()?);
    apply(allowed, SeccompAction::KillProcess, SeccompAction::Allow)
}

fn rules(calls: &[c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Calls that are only needed with some arguments.
fn conditional() -> anyhow::Result<Rules> {
    let thread = u64::try_from(libc::CLONE_THREAD)?;
    let set_name = u64::try_from(libc::PR_SET_NAME)?;
    let is_open = u64::try_from(libc::F_GETFD)?;
    let this = u64::from(std::process::id());
    let when = |argument, operator, value| -> anyhow::Result<Vec<SeccompRule>> {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    };
    Ok(BTreeMap::from([
        // Threads, but no processes.
        (
            libc::SYS_clone,
            when(0, SeccompCmpOp::MaskedEq(thread), thread)?,
        ),
        // Whether a descriptor is open: the standard library of debug builds asks before it closes one.
        (libc::SYS_fcntl, when(1, SeccompCmpOp::Eq, is_open)?),
        // A thread's name; nothing else of what the call can do.
        (libc::SYS_prctl, when(0, SeccompCmpOp::Eq, set_name)?),
        // An abort is a signal to oneself.
        (libc::SYS_tgkill, when(0, SeccompCmpOp::Eq, this)?),
    ]))
}

fn apply(rules: Rules, others: SeccompAction, these: SeccompAction) -> anyhow::Result<()> {
    let arch: TargetArch = std::env::consts::ARCH
        .try_into()
        .context("there are no filters for this architecture")?;
    let filter = SeccompFilter::new(rules, others, these, arch)?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&program)?)
}
