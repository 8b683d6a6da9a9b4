//! A container's figures, in containerd's messages: one kind for each version of control groups.

use anyhow::Result;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageField, MessageFull};
use containerd_shim_protos::{cgroups, cgroups_v2};
use coracle_cgroups::Statistics;
use coracle_cgroups::statistics::{Pids, v1, v2};

/// Packs figures for containerd, which knows the version by the type.
///
/// # Errors
/// When they cannot be encoded.
pub(crate) fn pack(statistics: Statistics) -> Result<Any> {
    match statistics {
        Statistics::V1(statistics) => any("io.containerd.cgroups.v1.Metrics", &of_v1(statistics)),
        Statistics::V2(statistics) => any("io.containerd.cgroups.v2.Metrics", &of_v2(statistics)),
    }
}

fn any(type_url: &str, message: &impl MessageFull) -> Result<Any> {
    Ok(Any {
        type_url: type_url.to_owned(),
        value: message.write_to_bytes()?,
        ..Default::default()
    })
}

fn of_v1(statistics: v1::Statistics) -> cgroups::metrics::Metrics {
    use cgroups::metrics::{Metrics, PidsStat};
    let pids = |pids: Pids| PidsStat {
        current: pids.current,
        limit: pids.limit.unwrap_or(0),
        ..Default::default()
    };
    Metrics {
        pids: statistics.pids.map(pids).into(),
        cpu: statistics.cpu.map(cpu_of_v1).into(),
        memory_oom_control: statistics.memory.as_ref().map(oom_of_v1).into(),
        memory: statistics.memory.as_ref().map(memory_of_v1).into(),
        blkio: MessageField::some(io_of_v1(statistics.io_bytes, statistics.io_operations)),
        hugetlb: statistics
            .huge_pages
            .into_iter()
            .map(huge_pages_of_v1)
            .collect(),
        ..Default::default()
    }
}

fn cpu_of_v1(cpu: v1::Cpu) -> cgroups::metrics::CPUStat {
    use cgroups::metrics::{CPUStat, CPUUsage, Throttle};
    let usage = CPUUsage {
        total: cpu.usage,
        kernel: cpu.kernel,
        user: cpu.user,
        per_cpu: cpu.by_processor,
        ..Default::default()
    };
    let throttling = Throttle {
        periods: cpu.periods,
        throttled_periods: cpu.throttled_periods,
        throttled_time: cpu.throttled,
        ..Default::default()
    };
    CPUStat {
        usage: MessageField::some(usage),
        throttling: MessageField::some(throttling),
        ..Default::default()
    }
}

fn oom_of_v1(memory: &v1::Memory) -> cgroups::metrics::MemoryOomControl {
    cgroups::metrics::MemoryOomControl {
        oom_kill_disable: memory.killer_disabled.into(),
        under_oom: memory.waiting.into(),
        oom_kill: memory.kills,
        ..Default::default()
    }
}

fn memory_of_v1(memory: &v1::Memory) -> cgroups::metrics::MemoryStat {
    use cgroups::metrics::{MemoryEntry, MemoryStat};
    let entry = |amount: v1::Amount| MemoryEntry {
        limit: amount.limit,
        usage: amount.usage,
        max: amount.most,
        failcnt: amount.failures,
        ..Default::default()
    };
    let count = |name| memory.counters.value(name).unwrap_or(0);
    MemoryStat {
        cache: count("cache"),
        rss: count("rss"),
        rss_huge: count("rss_huge"),
        mapped_file: count("mapped_file"),
        dirty: count("dirty"),
        writeback: count("writeback"),
        pg_pg_in: count("pgpgin"),
        pg_pg_out: count("pgpgout"),
        pg_fault: count("pgfault"),
        pg_maj_fault: count("pgmajfault"),
        inactive_anon: count("inactive_anon"),
        active_anon: count("active_anon"),
        inactive_file: count("inactive_file"),
        active_file: count("active_file"),
        unevictable: count("unevictable"),
        hierarchical_memory_limit: count("hierarchical_memory_limit"),
        hierarchical_swap_limit: count("hierarchical_memsw_limit"),
        total_cache: count("total_cache"),
        total_rss: count("total_rss"),
        total_rss_huge: count("total_rss_huge"),
        total_mapped_file: count("total_mapped_file"),
        total_dirty: count("total_dirty"),
        total_writeback: count("total_writeback"),
        total_pg_pg_in: count("total_pgpgin"),
        total_pg_pg_out: count("total_pgpgout"),
        total_pg_fault: count("total_pgfault"),
        total_pg_maj_fault: count("total_pgmajfault"),
        total_inactive_anon: count("total_inactive_anon"),
        total_active_anon: count("total_active_anon"),
        total_inactive_file: count("total_inactive_file"),
        total_active_file: count("total_active_file"),
        total_unevictable: count("total_unevictable"),
        usage: MessageField::some(entry(memory.memory)),
        swap: memory.with_swap.map(entry).into(),
        kernel: memory.kernel.map(entry).into(),
        kernel_tcp: memory.kernel_tcp.map(entry).into(),
        ..Default::default()
    }
}

fn io_of_v1(bytes: Vec<v1::Io>, operations: Vec<v1::Io>) -> cgroups::metrics::BlkIOStat {
    use cgroups::metrics::{BlkIOEntry, BlkIOStat};
    let entry = |io: v1::Io| BlkIOEntry {
        op: io.operation,
        major: io.major,
        minor: io.minor,
        value: io.value,
        ..Default::default()
    };
    BlkIOStat {
        io_service_bytes_recursive: bytes.into_iter().map(entry).collect(),
        io_serviced_recursive: operations.into_iter().map(entry).collect(),
        ..Default::default()
    }
}

fn huge_pages_of_v1(pages: v1::HugePages) -> cgroups::metrics::HugetlbStat {
    cgroups::metrics::HugetlbStat {
        pagesize: pages.size,
        usage: pages.usage,
        max: pages.most,
        failcnt: pages.failures,
        ..Default::default()
    }
}

fn of_v2(statistics: v2::Statistics) -> cgroups_v2::metrics::Metrics {
    use cgroups_v2::metrics::{CPUStat, HugeTlbStat, IOEntry, IOStat, Metrics, PidsStat};
    let cpu = CPUStat {
        usage_usec: statistics.cpu.usage,
        user_usec: statistics.cpu.user,
        system_usec: statistics.cpu.kernel,
        nr_periods: statistics.cpu.periods,
        nr_throttled: statistics.cpu.throttled_periods,
        throttled_usec: statistics.cpu.throttled,
        ..Default::default()
    };
    let pids = |pids: Pids| PidsStat {
        current: pids.current,
        limit: pids.limit.unwrap_or(0),
        ..Default::default()
    };
    let io = |io: v2::Io| IOEntry {
        major: io.major,
        minor: io.minor,
        rbytes: io.read_bytes,
        wbytes: io.written_bytes,
        rios: io.reads,
        wios: io.writes,
        ..Default::default()
    };
    let huge_pages = |pages: v2::HugePages| HugeTlbStat {
        pagesize: pages.size,
        current: pages.usage,
        max: pages.limit.unwrap_or(u64::MAX),
        failcnt: pages.failures,
        ..Default::default()
    };
    let io = IOStat {
        usage: statistics.io.into_iter().map(io).collect(),
        ..Default::default()
    };
    Metrics {
        cpu: MessageField::some(cpu),
        pids: statistics.pids.map(pids).into(),
        memory_events: statistics.memory.as_ref().map(events_of_v2).into(),
        memory: statistics.memory.as_ref().map(memory_of_v2).into(),
        io: MessageField::some(io),
        hugetlb: statistics.huge_pages.into_iter().map(huge_pages).collect(),
        ..Default::default()
    }
}

fn events_of_v2(memory: &v2::Memory) -> cgroups_v2::metrics::MemoryEvents {
    cgroups_v2::metrics::MemoryEvents {
        low: memory.events.low,
        high: memory.events.high,
        max: memory.events.max,
        oom: memory.events.out_of_memory,
        oom_kill: memory.events.kills,
        ..Default::default()
    }
}

fn memory_of_v2(memory: &v2::Memory) -> cgroups_v2::metrics::MemoryStat {
    let count = |name| memory.counters.value(name).unwrap_or(0);
    let swap = memory.swap;
    cgroups_v2::metrics::MemoryStat {
        anon: count("anon"),
        file: count("file"),
        kernel_stack: count("kernel_stack"),
        slab: count("slab"),
        sock: count("sock"),
        shmem: count("shmem"),
        file_mapped: count("file_mapped"),
        file_dirty: count("file_dirty"),
        file_writeback: count("file_writeback"),
        anon_thp: count("anon_thp"),
        inactive_anon: count("inactive_anon"),
        active_anon: count("active_anon"),
        inactive_file: count("inactive_file"),
        active_file: count("active_file"),
        unevictable: count("unevictable"),
        slab_reclaimable: count("slab_reclaimable"),
        slab_unreclaimable: count("slab_unreclaimable"),
        pgfault: count("pgfault"),
        pgmajfault: count("pgmajfault"),
        workingset_refault: count("workingset_refault"),
        workingset_activate: count("workingset_activate"),
        workingset_nodereclaim: count("workingset_nodereclaim"),
        pgrefill: count("pgrefill"),
        pgscan: count("pgscan"),
        pgsteal: count("pgsteal"),
        pgactivate: count("pgactivate"),
        pgdeactivate: count("pgdeactivate"),
        pglazyfree: count("pglazyfree"),
        pglazyfreed: count("pglazyfreed"),
        thp_fault_alloc: count("thp_fault_alloc"),
        thp_collapse_alloc: count("thp_collapse_alloc"),
        usage: memory.usage,
        usage_limit: memory.limit.unwrap_or(u64::MAX),
        max_usage: memory.most.unwrap_or(0),
        swap_usage: swap.map_or(0, |swap| swap.usage),
        swap_limit: swap.map_or(0, |swap| swap.limit.unwrap_or(u64::MAX)),
        swap_max_usage: swap.and_then(|swap| swap.most).unwrap_or(0),
        ..Default::default()
    }
}
