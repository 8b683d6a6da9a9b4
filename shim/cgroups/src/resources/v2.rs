//! Limits of version 2.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::{Files, block, huge_pages, memory, processes, rdma, weight};
use crate::{Cgroup, CgroupError, file};

/// Writes all limits but those of devices.
pub(super) fn write(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    refuse_network(cgroup, resources)?;
    if let Some(limits) = resources.cpu() {
        cpu(cgroup, limits)?;
        cpuset(cgroup, limits)?;
    }
    if let Some(limits) = resources.memory() {
        memory::write_v2(cgroup, limits)?;
    }
    if let Some(limit) = resources
        .pids()
        .and_then(|limits| processes(limits.limit()))
    {
        Files::of(cgroup, "pids", "linux.resources.pids")?.write("pids.max", &limit)?;
    }
    if let Some(limits) = resources.block_io() {
        block::write_v2(cgroup, limits)?;
    }
    let limits = resources.hugepage_limits().as_deref().unwrap_or_default();
    huge_pages(cgroup, limits, "max", "rsvd.max")?;
    rdma(cgroup, resources.rdma().iter().flatten())?;
    // Last: what is said in the kernel's own terms is meant most.
    resources
        .unified()
        .as_ref()
        .map_or(Ok(()), |values| unified(cgroup, values))
}

fn refuse_network(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    let Some(network) = resources.network() else {
        return Ok(());
    };
    let class = network.class_id().filter(|class| *class != 0);
    let priorities = network.priorities().iter().flatten().count();
    if class.is_none() && priorities == 0 {
        return Ok(());
    }
    Err(CgroupError::NoController {
        key: "linux.resources.network",
        controller: "net_cls or net_prio",
        path: cgroup.path().to_owned(),
    })
}

fn cpu(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    const REALTIME: &str = "linux.resources.cpu.realtimeRuntime";
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        return Err(CgroupError::Value {
            key: REALTIME,
            value: runtime.to_string(),
            accepted: "none, as this host has cgroup version 2",
        });
    }
    let shares = cpu.shares().filter(|shares| *shares != 0);
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if shares.is_none()
        && quota.is_none()
        && period.is_none()
        && cpu.burst().is_none()
        && cpu.idle().is_none()
    {
        return Ok(());
    }
    let files = Files::of(cgroup, "cpu", "linux.resources.cpu")?;
    // The weight of an idle group cannot be written, so idleness ends before and begins after.
    let idle = cpu.idle();
    files.set("cpu.idle", idle.filter(|idle| *idle == 0))?;
    files.set("cpu.weight", shares.map(weight::of_shares))?;
    files.set("cpu.idle", idle.filter(|idle| *idle != 0))?;
    // A burst must not exceed the quota at any moment.
    if cpu.burst().is_some() {
        files.write("cpu.max.burst", "0")?;
    }
    if quota.is_some() || period.is_some() {
        files.write("cpu.max", &bandwidth(&files, quota, period)?)?;
    }
    files.set("cpu.max.burst", cpu.burst().filter(|burst| *burst != 0))
}

/// `QUOTA PERIOD`, where a period can be left out and a quota cannot.
fn bandwidth(
    files: &Files,
    quota: Option<i64>,
    period: Option<u64>,
) -> Result<String, CgroupError> {
    let quota = match quota {
        Some(quota) if quota < 0 => "max".to_owned(),
        Some(quota) => quota.to_string(),
        None => {
            let text = file::read(&files.path("cpu.max"))?;
            text.split_whitespace().next().unwrap_or("max").to_owned()
        }
    };
    Ok(period.map_or_else(|| quota.clone(), |period| format!("{quota} {period}")))
}

fn cpuset(cgroup: &Cgroup, cpu: &LinuxCpu) -> Result<(), CgroupError> {
    for (name, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            Files::of(cgroup, "cpuset", "linux.resources.cpu.cpus")?.write(name, value)?;
        }
    }
    Ok(())
}

/// Files by their names. Those of `cgroup.` say who is in the group and what it is, which is not a limit.
fn unified(cgroup: &Cgroup, values: &HashMap<String, String>) -> Result<(), CgroupError> {
    for (name, value) in values {
        let is_limit = name.contains('.') && !name.contains('/') && !name.starts_with("cgroup.");
        if !is_limit || name.starts_with('.') {
            return Err(CgroupError::Value {
                key: "linux.resources.unified",
                value: format!("{name}={value}"),
                accepted: "names of a controller's files, as `memory.high`",
            });
        }
        for folder in cgroup.folders() {
            let path = folder.join(name);
            // A file of several lines takes one at a time.
            value
                .lines()
                .try_for_each(|line| file::write(&path, line))?;
        }
    }
    Ok(())
}
