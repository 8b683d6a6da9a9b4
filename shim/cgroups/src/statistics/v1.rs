//! Figures of version 1.

use std::path::Path;

use super::{Counters, Pids, counters, device, number, page_sizes, pids};
use crate::{Cgroup, CgroupError, file};

/// Figures of one group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<Pids>,
    /// Bytes to and from block devices, of groups below too.
    pub io_bytes: Vec<Io>,
    /// Operations on block devices, of groups below too.
    pub io_operations: Vec<Io>,
    /// Huge pages, by size.
    pub huge_pages: Vec<HugePages>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// All time.
    pub usage: u64,
    /// Time in programs.
    pub user: u64,
    /// Time in the kernel.
    pub kernel: u64,
    /// All time, by processor.
    pub by_processor: Vec<u64>,
    /// Periods in which the group wanted to run while it had a quota.
    pub periods: u64,
    /// Those in which it was stopped.
    pub throttled_periods: u64,
    /// How long it was stopped.
    pub throttled: u64,
}

/// Memory in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the processes and their files take.
    pub memory: Amount,
    /// The same with swap, where the kernel counts it.
    pub with_swap: Option<Amount>,
    /// The kernel's own part.
    pub kernel: Option<Amount>,
    /// Buffers of TCP.
    pub kernel_tcp: Option<Amount>,
    /// `memory.stat`: what it is made of, and its events.
    pub counters: Counters,
    /// Whether processes wait instead of being killed when memory runs out.
    pub killer_disabled: bool,
    /// Whether they wait now.
    pub waiting: bool,
    /// How many were killed.
    pub kills: u64,
}

impl Memory {
    /// What cannot be taken back without harm, as a kubelet counts it.
    #[must_use]
    pub fn working_set(&self) -> u64 {
        let idle = self.counters.or_zero("total_inactive_file");
        self.memory.usage.saturating_sub(idle)
    }
}

/// An amount with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Now.
    pub usage: u64,
    /// At most since the group was made.
    pub most: u64,
    /// The limit; one that is beyond all memory is none.
    pub limit: u64,
    /// How often the limit was met.
    pub failures: u64,
}

/// A counter of one block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io {
    /// The device's numbers.
    pub major: u64,
    /// The device's numbers.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard` or `Total`.
    pub operation: String,
    /// Bytes or operations.
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugePages {
    /// `2MB`.
    pub size: String,
    /// Now.
    pub usage: u64,
    /// At most since the group was made.
    pub most: u64,
    /// How often the limit was met.
    pub failures: u64,
}

pub(super) fn read(cgroup: &Cgroup) -> Result<Statistics, CgroupError> {
    Ok(Statistics {
        cpu: cpu(cgroup)?,
        memory: memory(cgroup)?,
        pids: pids(cgroup)?,
        io_bytes: io(cgroup, "io_service_bytes_recursive")?,
        io_operations: io(cgroup, "io_serviced_recursive")?,
        huge_pages: huge_pages(cgroup)?,
    })
}

fn cpu(cgroup: &Cgroup) -> Result<Option<Cpu>, CgroupError> {
    let Some(folder) = cgroup.folder_with("cpuacct") else {
        return Ok(None);
    };
    let path = folder.join("cpuacct.usage_percpu");
    let mut by_processor = Vec::new();
    for text in file::read(&path)?.split_whitespace() {
        by_processor.extend(file::number(&path, text)?);
    }
    let throttling = match cgroup.folder_with("cpu") {
        Some(folder) => counters(&folder, "cpu.stat")?.unwrap_or_default(),
        None => Counters::default(),
    };
    Ok(Some(Cpu {
        usage: number(&folder, "cpuacct.usage")?.unwrap_or(0),
        user: number(&folder, "cpuacct.usage_user")?.unwrap_or(0),
        kernel: number(&folder, "cpuacct.usage_sys")?.unwrap_or(0),
        by_processor,
        periods: throttling.or_zero("nr_periods"),
        throttled_periods: throttling.or_zero("nr_throttled"),
        throttled: throttling.or_zero("throttled_time"),
    }))
}

fn memory(cgroup: &Cgroup) -> Result<Option<Memory>, CgroupError> {
    let Some(folder) = cgroup.folder_with("memory") else {
        return Ok(None);
    };
    let Some(memory) = amount(&folder, "memory")? else {
        // The group is gone: this file is always there.
        file::read(&folder.join("memory.usage_in_bytes"))?;
        return Ok(None);
    };
    let control = counters(&folder, "memory.oom_control")?.unwrap_or_default();
    Ok(Some(Memory {
        memory,
        with_swap: amount(&folder, "memory.memsw")?,
        kernel: amount(&folder, "memory.kmem")?,
        kernel_tcp: amount(&folder, "memory.kmem.tcp")?,
        counters: counters(&folder, "memory.stat")?.unwrap_or_default(),
        killer_disabled: control.or_zero("oom_kill_disable") != 0,
        waiting: control.or_zero("under_oom") != 0,
        kills: control.or_zero("oom_kill"),
    }))
}

fn amount(folder: &Path, name: &str) -> Result<Option<Amount>, CgroupError> {
    let Some(usage) = number(folder, &format!("{name}.usage_in_bytes"))? else {
        return Ok(None);
    };
    Ok(Some(Amount {
        usage,
        most: number(folder, &format!("{name}.max_usage_in_bytes"))?.unwrap_or(usage),
        limit: number(folder, &format!("{name}.limit_in_bytes"))?.unwrap_or(u64::MAX),
        failures: number(folder, &format!("{name}.failcnt"))?.unwrap_or(0),
    }))
}

/// Lines `MAJOR:MINOR OPERATION NUMBER`, and a sum at the end.
fn io(cgroup: &Cgroup, name: &str) -> Result<Vec<Io>, CgroupError> {
    let Some(folder) = cgroup.folder_with("blkio") else {
        return Ok(Vec::new());
    };
    // BFQ counts what it schedules, and the throttle everything.
    let path = folder.join(format!("blkio.throttle.{name}"));
    let text = file::read_if_there(&path)?.unwrap_or_default();
    Ok(text.lines().filter_map(io_line).collect())
}

fn io_line(line: &str) -> Option<Io> {
    let mut parts = line.split_whitespace();
    let (major, minor) = device(parts.next()?)?;
    Some(Io {
        major,
        minor,
        operation: parts.next()?.to_owned(),
        value: parts.next()?.parse().ok()?,
    })
}

fn huge_pages(cgroup: &Cgroup) -> Result<Vec<HugePages>, CgroupError> {
    let Some(folder) = cgroup.folder_with("hugetlb") else {
        return Ok(Vec::new());
    };
    let sizes = page_sizes(&folder, ".usage_in_bytes")?;
    let figure = |size: &str, name| number(&folder, &format!("hugetlb.{size}.{name}"));
    sizes
        .into_iter()
        .map(|size| {
            Ok(HugePages {
                usage: figure(&size, "usage_in_bytes")?.unwrap_or(0),
                most: figure(&size, "max_usage_in_bytes")?.unwrap_or(0),
                failures: figure(&size, "failcnt")?.unwrap_or(0),
                size,
            })
        })
        .collect()
}
