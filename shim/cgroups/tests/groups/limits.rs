//! What is written for the limits of a specification.

use std::fs;

use coracle_cgroups::{CgroupError, Hierarchy};

use crate::scratch::{Scratch, is_unified, limits};

/// As a kubelet sets them for a container.
const KUBELET: &str = r#"{
    "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    "memory": {"limit": 67108864},
    "pids": {"limit": 100}
}"#;

/// The group's files say this: controller, file with version 1, file with version 2.
fn expect(scratch: &Scratch, v1: &[(&str, &str, &str)], v2: &[(&str, &str)]) {
    if is_unified() {
        for (name, value) in v2 {
            assert_eq!(scratch.read("", name), *value, "{name}");
        }
    } else {
        for (controller, name, value) in v1 {
            assert_eq!(scratch.read(controller, name), *value, "{name}");
        }
    }
}

#[test]
fn limits_of_a_kubelet_are_in_force() {
    let scratch = Scratch::made(KUBELET);
    expect(
        &scratch,
        &[
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "100000"),
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("pids", "pids.max", "100"),
        ],
        &[
            ("cpu.weight", "59"),
            ("cpu.max", "50000 100000"),
            ("memory.max", "67108864"),
            ("pids.max", "100"),
        ],
    );
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let mut scratch = Scratch::made(KUBELET);
    let _member = scratch.member("stay", "");
    let changed =
        limits(r#"{"cpu": {"quota": 20000, "period": 50000}, "memory": {"limit": 33554432}}"#);
    scratch.cgroup.update(&changed).unwrap();
    expect(
        &scratch,
        &[
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "20000"),
            ("cpu", "cpu.cfs_period_us", "50000"),
            ("memory", "memory.limit_in_bytes", "33554432"),
            ("pids", "pids.max", "100"),
        ],
        &[
            ("cpu.weight", "59"),
            ("cpu.max", "20000 50000"),
            ("memory.max", "33554432"),
            ("pids.max", "100"),
        ],
    );
}

#[test]
fn memory_with_swap_goes_up_and_down() {
    let scratch = Scratch::made(r#"{"memory": {"limit": 33554432, "swap": 67108864}}"#);
    for (limit, swap) in [
        (134_217_728, 268_435_456),
        (16_777_216, 16_777_216),
        (-1, -1),
        (33_554_432, 67_108_864),
    ] {
        let json = format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#);
        scratch.cgroup.update(&limits(&json)).unwrap();
        if limit > 0 {
            let (limit, with_swap) = (limit.to_string(), swap.to_string());
            let swap = (swap - limit.parse::<i64>().unwrap()).to_string();
            expect(
                &scratch,
                &[
                    ("memory", "memory.limit_in_bytes", &limit),
                    ("memory", "memory.memsw.limit_in_bytes", &with_swap),
                ],
                &[("memory.max", &limit), ("memory.swap.max", &swap)],
            );
        }
    }
}

#[test]
fn no_limit_is_said_as_minus_one() {
    let scratch = Scratch::made(KUBELET);
    let json = r#"{"cpu": {"quota": -1}, "memory": {"limit": -1}, "pids": {"limit": -1}}"#;
    scratch.cgroup.update(&limits(json)).unwrap();
    expect(
        &scratch,
        &[
            ("cpu", "cpu.cfs_quota_us", "-1"),
            ("pids", "pids.max", "max"),
        ],
        &[
            ("cpu.max", "max 100000"),
            ("memory.max", "max"),
            ("pids.max", "max"),
        ],
    );
}

#[test]
fn a_burst_can_shrink_together_with_the_quota() {
    let scratch = Scratch::made(r#"{"cpu": {"quota": 50000, "period": 100000, "burst": 40000}}"#);
    scratch
        .cgroup
        .update(&limits(r#"{"cpu": {"quota": 20000, "burst": 10000}}"#))
        .unwrap();
    expect(
        &scratch,
        &[
            ("cpu", "cpu.cfs_burst_us", "10000"),
            ("cpu", "cpu.cfs_quota_us", "20000"),
        ],
        &[("cpu.max.burst", "10000"), ("cpu.max", "20000 100000")],
    );
}

#[test]
fn processors_are_those_that_are_named() {
    let scratch = Scratch::made(r#"{"cpu": {"cpus": "0", "mems": "0"}}"#);
    assert_eq!(scratch.read("cpuset", "cpuset.cpus"), "0");
    assert_eq!(scratch.read("cpuset", "cpuset.mems"), "0");
}

#[test]
fn what_the_kernel_refuses_is_said_with_file_and_value() {
    let scratch = Scratch::made("{}");
    let error = scratch
        .cgroup
        .update(&limits(r#"{"cpu": {"period": 1}}"#))
        .unwrap_err();
    let CgroupError::Write { path, source, .. } = &error else {
        panic!("{error}");
    };
    let name = if is_unified() {
        "cpu.max"
    } else {
        "cpu.cfs_period_us"
    };
    assert_eq!(path, &scratch.file("cpu", name));
    assert_eq!(source.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn unified_limits_are_files_of_version_2_and_no_others() {
    let scratch = Scratch::new();
    let create = |json: &str| scratch.cgroup.create(&limits(json));
    for name in ["cgroup.procs", "../pids.max", "pids", ".", ""] {
        let error = create(&format!(r#"{{"unified": {{"{name}": "1"}}}}"#)).unwrap_err();
        assert!(matches!(error, CgroupError::Value { .. }), "{error}");
        assert!(!scratch.file("memory", "").exists());
    }
    let created = create(r#"{"unified": {"memory.high": "1048576"}}"#);
    if is_unified() {
        created.unwrap();
        assert_eq!(scratch.read("", "memory.high"), "1048576");
    } else {
        assert!(matches!(created.unwrap_err(), CgroupError::Value { .. }));
    }
}

#[test]
fn huge_pages_are_limited_or_their_absence_is_said() {
    let scratch = Scratch::new();
    let created = scratch.cgroup.create(&limits(
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
    ));
    let has_controller = is_unified() || fs::exists("/sys/fs/cgroup/hugetlb").unwrap();
    match created {
        Ok(()) if is_unified() => assert_eq!(scratch.read("", "hugetlb.2MB.max"), "4194304"),
        Ok(()) => assert_eq!(
            scratch.read("hugetlb", "hugetlb.2MB.limit_in_bytes"),
            "4194304"
        ),
        Err(error) => {
            assert!(!has_controller, "{error}");
            assert!(matches!(
                error,
                CgroupError::NoController {
                    controller: "hugetlb",
                    ..
                }
            ));
        }
    }
    let error = scratch.cgroup.create(&limits(
        r#"{"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}"#,
    ));
    assert!(matches!(error.unwrap_err(), CgroupError::Value { .. }));
}

#[test]
fn hostile_paths_are_no_groups() {
    let hierarchy = Hierarchy::detect().unwrap();
    for path in [
        "/",
        "",
        "..",
        "/../..",
        "/a/../../b",
        "a:b:c:d/..",
        "slice:p:n",
    ] {
        let found = hierarchy.cgroup(path.as_ref());
        assert!(matches!(found, Err(CgroupError::Location { .. })), "{path}");
    }
}

#[test]
fn a_group_with_the_name_of_a_file_is_refused_and_the_file_stays() {
    let scratch = Scratch::made("{}");
    let path = format!("{}/cgroup.procs", scratch.path);
    let cgroup = Hierarchy::detect().unwrap().cgroup(path.as_ref()).unwrap();
    cgroup.create(&limits("{}")).unwrap_err();
    assert!(scratch.file("memory", "cgroup.procs").is_file());
}
