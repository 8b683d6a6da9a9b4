//! What systemd is told of a unit.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};
use zvariant::Value;

use crate::resources::weight;

/// Properties of a unit by name, as systemd takes them. It reads the largest number as no limit.
#[derive(Debug, Default)]
pub(super) struct Properties(Vec<(&'static str, Value<'static>)>);

const UNLIMITED: u64 = u64::MAX;

/// systemd keeps quotas in whole percents of a processor, in microseconds a second.
const PERCENT: u64 = 10_000;

/// The kernel's period, in microseconds, where none is named.
const PERIOD: u64 = 100_000;

impl Properties {
    /// A scope with one process, whose processes may make groups of their own below it.
    pub(super) fn of_scope(slice: &str, unit: &str, process: u32) -> Self {
        let mut properties = Self::default();
        properties.add("Description", format!("container {unit}"));
        properties.add("Slice", slice.to_owned());
        properties.add("PIDs", vec![process]);
        properties.add("Delegate", true);
        // It must not be stopped with the machine's services before whoever made it.
        properties.add("DefaultDependencies", false);
        // One that failed must not stay, for its name.
        properties.add("CollectMode", "inactive-or-failed".to_owned());
        for name in ["CPUAccounting", "MemoryAccounting", "TasksAccounting"] {
            properties.add(name, true);
        }
        // systemd has a limit of its own for units that name none.
        properties.add("TasksMax", UNLIMITED);
        properties
    }

    /// The limits that systemd knows.
    pub(super) fn limit(&mut self, resources: &LinuxResources, is_unified: bool) {
        if let Some(cpu) = resources.cpu() {
            self.limit_cpu(cpu, is_unified);
        }
        if let Some(memory) = resources.memory() {
            self.limit_memory(memory, is_unified);
        }
        if let Some(pids) = resources.pids().filter(|pids| pids.limit() != 0) {
            self.0.retain(|(name, _)| *name != "TasksMax");
            self.add("TasksMax", u64::try_from(pids.limit()).unwrap_or(UNLIMITED));
        }
    }

    pub(super) fn entries(&self) -> &[(&'static str, Value<'static>)] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, name: &'static str, value: impl Into<Value<'static>>) {
        self.0.push((name, value.into()));
    }

    fn limit_cpu(&mut self, cpu: &LinuxCpu, is_unified: bool) {
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            match is_unified {
                true => self.add("CPUWeight", weight::of_shares(shares)),
                false => self.add("CPUShares", shares),
            }
        }
        let period = cpu.period().filter(|period| *period != 0);
        if let Some(period) = period {
            self.add("CPUQuotaPeriodUSec", period);
        }
        if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
            let quota = u64::try_from(quota).map_or(UNLIMITED, |quota| {
                per_second(quota, period.unwrap_or(PERIOD))
            });
            self.add("CPUQuotaPerSecUSec", quota);
        }
    }

    fn limit_memory(&mut self, memory: &LinuxMemory, is_unified: bool) {
        let named = |value: Option<i64>| {
            let value = value.filter(|value| *value != 0)?;
            Some(u64::try_from(value).unwrap_or(UNLIMITED))
        };
        let limit = named(memory.limit());
        if let Some(limit) = limit {
            self.add(
                if is_unified {
                    "MemoryMax"
                } else {
                    "MemoryLimit"
                },
                limit,
            );
        }
        if !is_unified {
            return;
        }
        if let Some(reservation) = named(memory.reservation()) {
            self.add("MemoryLow", reservation);
        }
        match (named(memory.swap()), limit) {
            (Some(UNLIMITED), _) => self.add("MemorySwapMax", UNLIMITED),
            (Some(swap), Some(limit)) => self.add("MemorySwapMax", swap.saturating_sub(limit)),
            _ => {}
        }
    }
}

/// What a quota is a second, in whole percents, and not less than it.
fn per_second(quota: u64, period: u64) -> u64 {
    let exact = quota.saturating_mul(1_000_000) / period.max(1);
    exact.div_ceil(PERCENT).saturating_mul(PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(json: &str, is_unified: bool) -> Vec<(&'static str, Value<'static>)> {
        let mut properties = Properties::default();
        properties.limit(&serde_json::from_str(json).unwrap(), is_unified);
        properties.0
    }

    #[test]
    fn limits_are_told_in_the_terms_of_the_version() {
        let json = r#"{
            "cpu": {"shares": 1024, "quota": 25000, "period": 50000},
            "memory": {"limit": 1000, "swap": 3000, "reservation": 500},
            "pids": {"limit": -1}
        }"#;
        assert_eq!(
            named(json, true),
            [
                ("CPUWeight", Value::U64(100)),
                ("CPUQuotaPeriodUSec", Value::U64(50_000)),
                ("CPUQuotaPerSecUSec", Value::U64(500_000)),
                ("MemoryMax", Value::U64(1000)),
                ("MemoryLow", Value::U64(500)),
                ("MemorySwapMax", Value::U64(2000)),
                ("TasksMax", Value::U64(UNLIMITED)),
            ]
        );
        assert_eq!(
            named(json, false),
            [
                ("CPUShares", Value::U64(1024)),
                ("CPUQuotaPeriodUSec", Value::U64(50_000)),
                ("CPUQuotaPerSecUSec", Value::U64(500_000)),
                ("MemoryLimit", Value::U64(1000)),
                ("TasksMax", Value::U64(UNLIMITED)),
            ]
        );
    }

    #[test]
    fn a_quota_is_rounded_up_to_whole_percents() {
        assert_eq!(per_second(12_345, 100_000), 130_000);
        assert_eq!(per_second(100_000, 100_000), 1_000_000);
        assert_eq!(per_second(u64::MAX, 1), UNLIMITED);
    }

    #[test]
    fn a_scope_says_no_limit_of_tasks_once() {
        let mut properties = Properties::of_scope("a.slice", "b.scope", 7);
        properties.limit(
            &serde_json::from_str(r#"{"pids": {"limit": 5}}"#).unwrap(),
            true,
        );
        let tasks: Vec<_> = properties
            .0
            .iter()
            .filter(|(name, _)| *name == "TasksMax")
            .collect();
        assert_eq!(tasks, [&("TasksMax", Value::U64(5))]);
    }
}
