//! Figures of version 2.

use super::{Counters, Pids, counters, device, number, page_sizes, pids};
use crate::{Cgroup, CgroupError, file};

/// Figures of one group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<Pids>,
    /// Block devices.
    pub io: Vec<Io>,
    /// Huge pages, by size.
    pub huge_pages: Vec<HugePages>,
}

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// All time.
    pub usage: u64,
    /// Time in programs.
    pub user: u64,
    /// Time in the kernel.
    pub kernel: u64,
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
    /// What the processes and their files take now.
    pub usage: u64,
    /// None without a limit.
    pub limit: Option<u64>,
    /// At most since the group was made, where the kernel counts it.
    pub most: Option<u64>,
    /// Swap, which is not part of the above.
    pub swap: Option<Swap>,
    /// `memory.stat`: what it is made of, and its events.
    pub counters: Counters,
    /// `memory.events`: limits met, and processes killed, of groups below too.
    pub events: Events,
}

impl Memory {
    /// What cannot be taken back without harm, as a kubelet counts it.
    #[must_use]
    pub fn working_set(&self) -> u64 {
        self.usage
            .saturating_sub(self.counters.or_zero("inactive_file"))
    }
}

/// Swap in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Now.
    pub usage: u64,
    /// None without a limit.
    pub limit: Option<u64>,
    /// At most since the group was made, where the kernel counts it.
    pub most: Option<u64>,
}

/// How often memory was scarce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// It was taken although it was reserved.
    pub low: u64,
    /// The limit that slows was met.
    pub high: u64,
    /// The limit was met.
    pub max: u64,
    /// Nothing could be taken back.
    pub out_of_memory: u64,
    /// A process was killed.
    pub kills: u64,
}

/// A block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// The device's numbers.
    pub major: u64,
    /// The device's numbers.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugePages {
    /// `2MB`.
    pub size: String,
    /// Now.
    pub usage: u64,
    /// None without a limit.
    pub limit: Option<u64>,
    /// How often the limit was met.
    pub failures: u64,
}

pub(super) fn read(cgroup: &Cgroup) -> Result<Statistics, CgroupError> {
    Ok(Statistics {
        cpu: cpu(cgroup)?,
        memory: memory(cgroup)?,
        pids: pids(cgroup)?,
        io: io(cgroup)?,
        huge_pages: huge_pages(cgroup)?,
    })
}

/// A group has this file also without the controller.
fn cpu(cgroup: &Cgroup) -> Result<Cpu, CgroupError> {
    let path = cgroup.folder_of("cpu").join("cpu.stat");
    let found = Counters::parse(&path, &file::read(&path)?)?;
    Ok(Cpu {
        usage: found.or_zero("usage_usec"),
        user: found.or_zero("user_usec"),
        kernel: found.or_zero("system_usec"),
        periods: found.or_zero("nr_periods"),
        throttled_periods: found.or_zero("nr_throttled"),
        throttled: found.or_zero("throttled_usec"),
    })
}

fn memory(cgroup: &Cgroup) -> Result<Option<Memory>, CgroupError> {
    let Some(folder) = cgroup.folder_with("memory") else {
        return Ok(None);
    };
    let Some(usage) = number(&folder, "memory.current")? else {
        return Ok(None);
    };
    let swap = match number(&folder, "memory.swap.current")? {
        Some(usage) => Some(Swap {
            usage,
            limit: number(&folder, "memory.swap.max")?,
            most: number(&folder, "memory.swap.peak")?,
        }),
        None => None,
    };
    let events = counters(&folder, "memory.events")?.unwrap_or_default();
    Ok(Some(Memory {
        usage,
        limit: number(&folder, "memory.max")?,
        most: number(&folder, "memory.peak")?,
        swap,
        counters: counters(&folder, "memory.stat")?.unwrap_or_default(),
        events: Events {
            low: events.or_zero("low"),
            high: events.or_zero("high"),
            max: events.or_zero("max"),
            out_of_memory: events.or_zero("oom"),
            kills: events.or_zero("oom_kill"),
        },
    }))
}

fn io(cgroup: &Cgroup) -> Result<Vec<Io>, CgroupError> {
    let Some(folder) = cgroup.folder_with("io") else {
        return Ok(Vec::new());
    };
    let text = file::read_if_there(&folder.join("io.stat"))?.unwrap_or_default();
    Ok(text.lines().filter_map(io_line).collect())
}

/// `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N …`; a device that has done nothing has no numbers.
fn io_line(line: &str) -> Option<Io> {
    let mut parts = line.split_whitespace();
    let (major, minor) = device(parts.next()?)?;
    let mut io = Io {
        major,
        minor,
        read_bytes: 0,
        written_bytes: 0,
        reads: 0,
        writes: 0,
    };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let place = match name {
            "rbytes" => &mut io.read_bytes,
            "wbytes" => &mut io.written_bytes,
            "rios" => &mut io.reads,
            "wios" => &mut io.writes,
            _ => continue,
        };
        *place = value.parse().ok()?;
    }
    Some(io)
}

fn huge_pages(cgroup: &Cgroup) -> Result<Vec<HugePages>, CgroupError> {
    let Some(folder) = cgroup.folder_with("hugetlb") else {
        return Ok(Vec::new());
    };
    let sizes = page_sizes(&folder, ".current")?;
    sizes
        .into_iter()
        .map(|size| {
            let name = |name| format!("hugetlb.{size}.{name}");
            let events = counters(&folder, &name("events"))?.unwrap_or_default();
            Ok(HugePages {
                usage: number(&folder, &name("current"))?.unwrap_or(0),
                limit: number(&folder, &name("max"))?,
                failures: events.or_zero("max"),
                size,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_io_is_understood_with_what_later_kernels_add() {
        let io = io_line("8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6");
        let expected = Io {
            major: 8,
            minor: 16,
            read_bytes: 1,
            written_bytes: 2,
            reads: 3,
            writes: 4,
        };
        assert_eq!(io, Some(expected));
    }
}
