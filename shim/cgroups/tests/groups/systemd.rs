//! Groups that systemd makes. The machine of `cargo xtask vm` has it as first process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coracle_cgroups::{CgroupError, Signal};

use crate::scratch::{PATIENCE, Scratch, is_unified, limits};

/// What systemd says of the unit.
fn property(scratch: &Scratch, name: &str) -> String {
    let unit = Path::new(&scratch.path).file_name().unwrap();
    let shown = Command::new("systemctl")
        .args(["show", "--value", "--property", name])
        .arg(unit)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    String::from_utf8(shown.stdout).unwrap().trim().to_owned()
}

fn wait_for(scratch: &Scratch, name: &str, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    while property(scratch, name) != expected {
        assert!(
            Instant::now() < deadline,
            "{name} is {}",
            property(scratch, name)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "needs systemd as first process"]
fn a_scope_has_its_process_and_its_limits() {
    let mut scratch = Scratch::of_systemd();
    assert!(scratch.cgroup.is_systemd());
    let json = r#"{"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 70}}"#;
    scratch.cgroup.create(&limits(json)).unwrap();
    let member = scratch.member_with(json, "stay", "");
    assert_eq!(scratch.cgroup.processes().unwrap(), [member.id]);
    assert_eq!(property(&scratch, "ActiveState"), "active");
    assert_eq!(property(&scratch, "Delegate"), "yes");
    assert_eq!(property(&scratch, "Slice"), "coracle-test.slice");
    assert_eq!(property(&scratch, "TasksMax"), "70");
    if is_unified() {
        assert_eq!(property(&scratch, "MemoryMax"), "67108864");
        assert_eq!(scratch.read("", "memory.max"), "67108864");
        assert_eq!(scratch.read("", "cpu.max"), "50000 100000");
        assert_eq!(scratch.read("", "pids.max"), "70");
    }
}

#[test]
#[ignore = "needs systemd as first process"]
fn limits_stay_when_systemd_reads_its_units_again() {
    let mut scratch = Scratch::of_systemd();
    let json = r#"{"memory": {"limit": 67108864}}"#;
    let _member = scratch.member_with(json, "stay", "");
    scratch
        .cgroup
        .update(&limits(
            r#"{"memory": {"limit": 33554432}, "pids": {"limit": 60}}"#,
        ))
        .unwrap();
    assert!(
        Command::new("systemctl")
            .arg("daemon-reload")
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(scratch.read("memory", "memory.max"), "33554432");
    assert_eq!(scratch.read("pids", "pids.max"), "60");
    assert_eq!(property(&scratch, "MemoryMax"), "33554432");
}

#[test]
#[ignore = "needs systemd as first process"]
fn devices_are_confined_also_after_a_reload() {
    let mut scratch = Scratch::of_systemd();
    let _member = scratch.member_with("{}", "stay", "");
    assert!(
        Command::new("systemctl")
            .arg("daemon-reload")
            .status()
            .unwrap()
            .success()
    );
    let answer = scratch.member_with("join", "open", "/dev/kmsg").answer();
    assert_eq!(answer, "permission denied");
    let answer = scratch.member_with("join", "open", "/dev/null").answer();
    assert_eq!(answer, "opened");
}

#[test]
#[ignore = "needs systemd as first process"]
fn a_scope_is_gone_after_deletion_and_its_name_is_free() {
    let mut scratch = Scratch::of_systemd();
    for _ in 0..2 {
        let _member = scratch.member_with("{}", "fork", "3");
        scratch.cgroup.kill_all(Signal::SIGKILL).unwrap();
        scratch.wait_for_members();
        scratch.cgroup.delete(PATIENCE).unwrap();
        scratch.cgroup.delete(PATIENCE).unwrap();
        wait_for(&scratch, "LoadState", "not-found");
        assert!(!scratch.file("memory", "").exists());
    }
}

#[test]
#[ignore = "needs systemd as first process"]
fn a_busy_scope_is_not_deleted_and_not_stopped() {
    let mut scratch = Scratch::of_systemd();
    let member = scratch.member_with("{}", "stay", "");
    match scratch.cgroup.delete(Duration::ZERO).unwrap_err() {
        CgroupError::Busy { processes, .. } => assert_eq!(processes, [member.id]),
        error => panic!("{error}"),
    }
    assert_eq!(property(&scratch, "ActiveState"), "active");
}

#[test]
#[ignore = "needs systemd as first process"]
fn what_systemd_refuses_is_said() {
    let mut scratch = Scratch::of_systemd();
    let _member = scratch.member_with("{}", "stay", "");
    // The name is taken.
    let refused = scratch.refused_member("{}");
    assert!(refused.contains("systemd cannot start unit"), "{refused}");
    assert!(refused.contains("UnitExists"), "{refused}");
}
