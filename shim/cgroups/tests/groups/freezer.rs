//! Stopping, going on, and being killed.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use coracle_cgroups::Signal;

use crate::scratch::{PATIENCE, Scratch, is_unified};

/// Waits until the group has no processes but those that are gone and not yet waited for.
fn wait_until_empty(scratch: &Scratch) {
    let deadline = Instant::now() + PATIENCE;
    while scratch
        .cgroup
        .processes()
        .unwrap()
        .iter()
        .any(|id| is_running(*id))
    {
        assert!(
            Instant::now() < deadline,
            "{:?}",
            scratch.cgroup.processes()
        );
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_running(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[test]
fn a_frozen_process_does_nothing_until_it_is_thawed() {
    let mut scratch = Scratch::made("{}");
    let mut member = scratch.member("count", "");
    assert_eq!(member.answer(), "1");
    scratch.cgroup.freeze().unwrap();
    assert!(scratch.cgroup.is_frozen().unwrap());
    // What it said before it froze is read away, and nothing follows.
    let before = member.read_what_is_there();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(member.read_what_is_there(), "", "after {before:?}");
    scratch.cgroup.thaw().unwrap();
    assert!(!scratch.cgroup.is_frozen().unwrap());
    assert_ne!(member.answer(), "");
}

#[test]
fn freezing_and_thawing_can_be_repeated() {
    let mut scratch = Scratch::made("{}");
    let _member = scratch.member("fork", "3");
    for _ in 0..20 {
        scratch.cgroup.freeze().unwrap();
        scratch.cgroup.freeze().unwrap();
        scratch.cgroup.thaw().unwrap();
        scratch.cgroup.thaw().unwrap();
    }
}

#[test]
fn all_processes_are_killed_also_below_and_while_frozen() {
    let mut scratch = Scratch::made("{}");
    let folder = scratch.file("freezer", "");
    let mut member = scratch.member("nest", folder.to_str().unwrap());
    assert_eq!(member.answer(), "nested");
    let _member = scratch.member("fork", "5");
    scratch.wait_for_processes(8);
    scratch.cgroup.freeze().unwrap();
    scratch.cgroup.kill_all(Signal::SIGKILL).unwrap();
    wait_until_empty(&scratch);
}

#[test]
fn a_group_that_forks_all_the_time_is_killed() {
    let mut scratch = Scratch::made(r#"{"pids": {"limit": 200}}"#);
    let _member = scratch.member("storm", "");
    scratch.wait_for_processes(5);
    scratch.cgroup.kill_all(Signal::SIGKILL).unwrap();
    wait_until_empty(&scratch);
}

#[test]
fn a_signal_that_can_be_handled_leaves_a_paused_group_paused() {
    let mut scratch = Scratch::made("{}");
    let member = scratch.member("stay", "");
    scratch.cgroup.freeze().unwrap();
    scratch.cgroup.kill_all(Signal::SIGTERM).unwrap();
    assert!(scratch.cgroup.is_frozen().unwrap());
    // With version 2 the signal ends it where it stands.
    assert!(is_unified() || is_running(member.id));
    scratch.cgroup.thaw().unwrap();
    wait_until_empty(&scratch);
}

#[test]
fn a_group_that_is_gone_has_nobody_to_kill() {
    let scratch = Scratch::new();
    scratch.cgroup.kill_all(Signal::SIGKILL).unwrap();
    assert_eq!(scratch.cgroup.processes().unwrap(), Vec::<i32>::new());
    scratch.cgroup.freeze().unwrap_err();
}
