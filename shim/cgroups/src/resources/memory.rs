//! Limits of memory and swap.

use oci_spec::runtime::LinuxMemory;

use super::Files;
use crate::{Cgroup, CgroupError};

const KEY: &str = "linux.resources.memory";

/// In bytes; a specification says -1 for no limit.
const UNLIMITED: i64 = -1;

/// What a specification says, where zero is as good as nothing.
struct Wanted {
    limit: Option<i64>,
    reservation: Option<i64>,
    swap: Option<i64>,
}

impl Wanted {
    fn new(memory: &LinuxMemory) -> Self {
        let named = |value: Option<i64>| value.filter(|value| *value != 0);
        Self {
            limit: named(memory.limit()),
            reservation: named(memory.reservation()),
            swap: named(memory.swap()),
        }
    }

    fn is_empty(&self) -> bool {
        self.limit.is_none() && self.reservation.is_none() && self.swap.is_none()
    }
}

/// Version 1.
pub(super) fn write_v1(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<(), CgroupError> {
    let wanted = Wanted::new(memory);
    let wait_for_memory = memory.disable_oom_killer().unwrap_or(false);
    let tcp = memory.kernel_tcp().filter(|limit| *limit != 0);
    if wanted.is_empty() && memory.swappiness().is_none() && !wait_for_memory && tcp.is_none() {
        return Ok(());
    }
    let files = Files::of(cgroup, "memory", KEY)?;
    limits_v1(&files, &wanted)?;
    files.set("memory.soft_limit_in_bytes", wanted.reservation)?;
    files.set("memory.kmem.tcp.limit_in_bytes", tcp)?;
    files.set("memory.swappiness", memory.swappiness())?;
    files.set("memory.oom_control", wait_for_memory.then_some(1))
}

/// Memory must not exceed memory with swap at any moment, so the one that makes room comes first.
fn limits_v1(files: &Files, wanted: &Wanted) -> Result<(), CgroupError> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
    let mut swap = wanted.swap;
    if swap.is_none() && wanted.limit == Some(UNLIMITED) && files.exists(WITH_SWAP) {
        swap = Some(UNLIMITED);
    }
    let (Some(limit), Some(swap)) = (wanted.limit, swap) else {
        files.set(LIMIT, wanted.limit)?;
        return files.set(WITH_SWAP, swap);
    };
    let current = files.number(LIMIT)?;
    let makes_room = u64::try_from(swap).map_or(true, |swap| current.is_some_and(|now| now < swap));
    let both = [(LIMIT, limit), (WITH_SWAP, swap)];
    let ordered = if makes_room { [both[1], both[0]] } else { both };
    ordered
        .into_iter()
        .try_for_each(|(name, value)| files.set(name, Some(value)))
}

/// Version 2, where swap is counted apart and a reservation is what is not reclaimed.
pub(super) fn write_v2(cgroup: &Cgroup, memory: &LinuxMemory) -> Result<(), CgroupError> {
    let wanted = Wanted::new(memory);
    if wanted.is_empty() {
        return Ok(());
    }
    let files = Files::of(cgroup, "memory", KEY)?;
    if memory.check_before_update().unwrap_or(false) {
        refuse_kill(&files, wanted.limit)?;
    }
    let swap = swap_alone(&wanted)?;
    if let Some(swap) = &swap {
        write_swap(&files, swap)?;
    }
    if let Some(limit) = wanted.limit {
        files.write("memory.max", &or_max(limit))?;
    }
    match wanted.reservation {
        Some(reservation) => files.write("memory.low", &or_max(reservation)),
        None => Ok(()),
    }
}

fn or_max(bytes: i64) -> String {
    if bytes < 0 {
        "max".to_owned()
    } else {
        bytes.to_string()
    }
}

/// The specification's swap includes memory.
fn swap_alone(wanted: &Wanted) -> Result<Option<String>, CgroupError> {
    let refused = |value: i64, accepted| CgroupError::Value {
        key: "linux.resources.memory.swap",
        value: value.to_string(),
        accepted,
    };
    match (wanted.swap, wanted.limit) {
        (None, Some(UNLIMITED)) => Ok(Some("max".to_owned())),
        (None, _) => Ok(None),
        (Some(swap), _) if swap < 0 => Ok(Some("max".to_owned())),
        (Some(swap), Some(limit)) if limit >= 0 && swap >= limit => {
            Ok(Some((swap - limit).to_string()))
        }
        (Some(swap), Some(limit)) if limit >= 0 => Err(refused(
            swap,
            "-1, and numbers of bytes not below the limit of memory",
        )),
        (Some(swap), _) => Err(refused(swap, "-1, unless memory has a limit too")),
    }
}

/// A kernel without swap has no such file, and keeps either promise.
fn write_swap(files: &Files, value: &str) -> Result<(), CgroupError> {
    const FILE: &str = "memory.swap.max";
    if files.exists(FILE) || !["0", "max"].contains(&value) {
        return files.write(FILE, value);
    }
    Ok(())
}

/// Version 2 kills where version 1 refuses a limit below what is in use.
fn refuse_kill(files: &Files, limit: Option<i64>) -> Result<(), CgroupError> {
    let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) else {
        return Ok(());
    };
    match files.number("memory.current")? {
        Some(current) if current > limit => Err(CgroupError::Value {
            key: "linux.resources.memory.limit",
            value: limit.to_string(),
            accepted: "numbers of bytes above what the container uses now",
        }),
        _ => Ok(()),
    }
}
