//! Limits of version 1.

use oci_spec::runtime::{LinuxCpu, LinuxNetwork, LinuxResources};

use super::{Files, block, huge_pages, memory, processes, rdma};
use crate::{Cgroup, CgroupError};

/// Writes all limits but those of devices.
pub(super) fn write(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    refuse_unified(resources)?;
    if let Some(limits) = resources.cpu() {
        cpu(cgroup, limits)?;
        cpuset(cgroup, limits)?;
    }
    if let Some(limits) = resources.memory() {
        memory::write_v1(cgroup, limits)?;
    }
    if let Some(limit) = resources
        .pids()
        .and_then(|limits| processes(limits.limit()))
    {
        Files::of(cgroup, "pids", "linux.resources.pids")?.write("pids.max", &limit)?;
    }
    if let Some(limits) = resources.block_io() {
        block::write_v1(cgroup, limits)?;
    }
    let limits = resources.hugepage_limits().as_deref().unwrap_or_default();
    huge_pages(cgroup, limits, "limit_in_bytes", "rsvd.limit_in_bytes")?;
    rdma(cgroup, resources.rdma().iter().flatten())?;
    resources
        .network()
        .as_ref()
        .map_or(Ok(()), |limits| network(cgroup, limits))
}

fn refuse_unified(resources: &LinuxResources) -> Result<(), CgroupError> {
    let unified = resources.unified().iter().flatten().next();
    unified.map_or(Ok(()), |(name, value)| {
        Err(CgroupError::Value {
            key: "linux.resources.unified",
            value: format!("{name}={value}"),
            accepted: "none, as this host has cgroup version 1",
        })
    })
}

fn cpu(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    let is_named = cpu.shares().is_some()
        || cpu.quota().is_some()
        || cpu.period().is_some()
        || cpu.burst().is_some()
        || cpu.idle().is_some()
        || cpu.realtime_period().is_some()
        || cpu.realtime_runtime().is_some();
    if !is_named {
        return Ok(());
    }
    let files = Files::of(cgroup, "cpu", "linux.resources.cpu")?;
    // Shares of an idle group cannot be written, so idleness ends before and begins after.
    let idle = cpu.idle();
    files.set("cpu.idle", idle.filter(|idle| *idle == 0))?;
    files.set("cpu.shares", cpu.shares().filter(|shares| *shares != 0))?;
    files.set("cpu.idle", idle.filter(|idle| *idle != 0))?;
    bandwidth(&files, cpu)?;
    files.set(
        "cpu.rt_period_us",
        cpu.realtime_period().filter(|period| *period != 0),
    )?;
    files.set(
        "cpu.rt_runtime_us",
        cpu.realtime_runtime().filter(|runtime| *runtime != 0),
    )
}

/// A burst must not exceed the quota, and quota by period not that of the group above, at any moment.
fn bandwidth(files: &Files, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    const PERIOD: &str = "cpu.cfs_period_us";
    const QUOTA: &str = "cpu.cfs_quota_us";
    const BURST: &str = "cpu.cfs_burst_us";
    let period = cpu.period().filter(|period| *period != 0);
    let quota = cpu.quota().filter(|quota| *quota != 0);
    if cpu.burst().is_some() {
        files.write(BURST, "0")?;
    }
    match files.set(PERIOD, period) {
        Err(_) if quota.is_some() => {
            files.set(QUOTA, quota)?;
            files.set(PERIOD, period)?;
        }
        written => {
            written?;
            files.set(QUOTA, quota)?;
        }
    }
    files.set(BURST, cpu.burst().filter(|burst| *burst != 0))
}

fn cpuset(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    for (name, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            Files::of(cgroup, "cpuset", "linux.resources.cpu.cpus")?.write(name, value)?;
        }
    }
    Ok(())
}

fn network(cgroup: &Cgroup, network: &LinuxNetwork) -> Result<(), CgroupError> {
    const CLASS: &str = "linux.resources.network.classID";
    const PRIORITY: &str = "linux.resources.network.priorities";
    if let Some(class) = network.class_id().filter(|class| *class != 0) {
        Files::of(cgroup, "net_cls", CLASS)?.set("net_cls.classid", Some(class))?;
    }
    for priority in network.priorities().iter().flatten() {
        let value = format!("{} {}", priority.name(), priority.priority());
        Files::of(cgroup, "net_prio", PRIORITY)?.write("net_prio.ifpriomap", &value)?;
    }
    Ok(())
}
