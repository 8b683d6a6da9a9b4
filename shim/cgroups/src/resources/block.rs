//! Limits of block devices.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::{Files, weight};
use crate::{Cgroup, CgroupError};

const KEY: &str = "linux.resources.blockIO";

/// Version 1.
pub(super) fn write_v1(cgroup: &Cgroup, block: &LinuxBlockIo) -> Result<(), CgroupError> {
    if is_empty(block) {
        return Ok(());
    }
    let files = Files::of(cgroup, "blkio", KEY)?;
    let weight = one_of(&files, ["blkio.weight", "blkio.bfq.weight"]);
    let by_device = one_of(&files, ["blkio.weight_device", "blkio.bfq.weight_device"]);
    files.set(weight, named(block.weight()))?;
    files.set("blkio.leaf_weight", named(block.leaf_weight()))?;
    for device in block.weight_device().iter().flatten() {
        let name = format!("{}:{}", device.major(), device.minor());
        files.set(
            by_device,
            named(device.weight()).map(|weight| format!("{name} {weight}")),
        )?;
        let leaf = named(device.leaf_weight()).map(|weight| format!("{name} {weight}"));
        files.set("blkio.leaf_weight_device", leaf)?;
    }
    for (limits, _, name) in throttles(block) {
        for limit in limits {
            files.write(
                name,
                &format!("{}:{} {}", limit.major(), limit.minor(), limit.rate()),
            )?;
        }
    }
    Ok(())
}

/// Version 2. It knows no weight of a leaf.
pub(super) fn write_v2(cgroup: &Cgroup, block: &LinuxBlockIo) -> Result<(), CgroupError> {
    if is_empty(block) {
        return Ok(());
    }
    refuse_leaves(block)?;
    let files = Files::of(cgroup, "io", KEY)?;
    if let Some(weight) = named(block.weight()) {
        set_weight(&files, "", weight)?;
    }
    for device in block.weight_device().iter().flatten() {
        if let Some(weight) = named(device.weight()) {
            set_weight(
                &files,
                &format!("{}:{} ", device.major(), device.minor()),
                weight,
            )?;
        }
    }
    for (limits, key, _) in throttles(block) {
        for limit in limits {
            let rate = match limit.rate() {
                0 => "max".to_owned(),
                rate => rate.to_string(),
            };
            files.write(
                "io.max",
                &format!("{}:{} {key}={rate}", limit.major(), limit.minor()),
            )?;
        }
    }
    Ok(())
}

/// BFQ takes weights as they are, the other scheduler on a scale of its own.
fn set_weight(files: &Files, device: &str, weight: u16) -> Result<(), CgroupError> {
    const BFQ: &str = "io.bfq.weight";
    if files.exists(BFQ) {
        return files.write(BFQ, &format!("{device}{weight}"));
    }
    let prefix = if device.is_empty() {
        "default "
    } else {
        device
    };
    files.write(
        "io.weight",
        &format!("{prefix}{}", weight::of_block_weight(weight)),
    )
}

fn refuse_leaves(block: &LinuxBlockIo) -> Result<(), CgroupError> {
    let by_device = block.weight_device().iter().flatten();
    let leaf =
        named(block.leaf_weight()).or(by_device.filter_map(|one| named(one.leaf_weight())).next());
    leaf.map_or(Ok(()), |weight| {
        Err(CgroupError::Value {
            key: "linux.resources.blockIO.leafWeight",
            value: weight.to_string(),
            accepted: "none, as this host has cgroup version 2",
        })
    })
}

/// Limits with their key in version 2 and their file in version 1.
fn throttles(block: &LinuxBlockIo) -> [(&[LinuxThrottleDevice], &'static str, &'static str); 4] {
    let all = [
        (
            block.throttle_read_bps_device(),
            "rbps",
            "blkio.throttle.read_bps_device",
        ),
        (
            block.throttle_write_bps_device(),
            "wbps",
            "blkio.throttle.write_bps_device",
        ),
        (
            block.throttle_read_iops_device(),
            "riops",
            "blkio.throttle.read_iops_device",
        ),
        (
            block.throttle_write_iops_device(),
            "wiops",
            "blkio.throttle.write_iops_device",
        ),
    ];
    all.map(|(limits, key, name)| (limits.as_deref().unwrap_or_default(), key, name))
}

fn is_empty(block: &LinuxBlockIo) -> bool {
    named(block.weight()).is_none()
        && named(block.leaf_weight()).is_none()
        && block.weight_device().iter().flatten().next().is_none()
        && throttles(block)
            .iter()
            .all(|(limits, ..)| limits.is_empty())
}

/// Zero says nothing.
fn named(weight: Option<u16>) -> Option<u16> {
    weight.filter(|weight| *weight != 0)
}

/// The name that this kernel has: schedulers differ.
fn one_of(files: &Files, names: [&'static str; 2]) -> &'static str {
    if files.exists(names[0]) {
        names[0]
    } else {
        names[1]
    }
}
