//! Running out of memory, really.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use coracle_cgroups::{Kills, OutOfMemory};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::scratch::{PATIENCE, Scratch};

const LIMIT: &str = r#"{"memory": {"limit": 16777216, "swap": 16777216}}"#;

fn is_readable(watch: &OutOfMemory, patience: Duration) -> bool {
    let timeout = PollTimeout::try_from(patience).unwrap();
    let mut descriptors = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, timeout).unwrap() == 1
}

/// Version 1 tells before it kills.
fn wait_for(watch: &OutOfMemory, expected: Kills) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = watch.kills().unwrap();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_process_that_is_killed_for_memory_is_counted() {
    let mut scratch = Scratch::made(LIMIT);
    let watch = scratch.cgroup.out_of_memory().unwrap();
    assert!(!is_readable(&watch, Duration::ZERO));
    assert_eq!(watch.kills().unwrap(), Kills::Counted(0));
    let mut member = scratch.member("allocate", "268435456");
    assert!(is_readable(&watch, PATIENCE));
    assert_eq!(member.answer(), "");
    wait_for(&watch, Kills::Counted(1));
}

#[test]
fn enough_memory_is_no_event() {
    let mut scratch = Scratch::made(r#"{"memory": {"limit": 268435456}}"#);
    let watch = scratch.cgroup.out_of_memory().unwrap();
    let mut member = scratch.member("allocate", "16777216");
    assert_eq!(member.answer(), "allocated 16777216");
    assert!(!is_readable(&watch, Duration::from_millis(100)));
    assert_eq!(watch.kills().unwrap(), Kills::Counted(0));
}

#[test]
fn a_container_that_falls_over_the_limit_of_its_pod_is_told_of() {
    let mut scratch = Scratch::made("{}");
    let (name, folder) = match scratch.file("memory", "memory.max") {
        path if path.exists() => ("memory.max", path),
        _ => (
            "memory.limit_in_bytes",
            scratch.file("memory", "memory.limit_in_bytes"),
        ),
    };
    let pod = folder.parent().unwrap().parent().unwrap().join(name);
    OpenOptions::new()
        .write(true)
        .open(&pod)
        .unwrap()
        .write_all(b"16777216")
        .unwrap();
    let watch = scratch.cgroup.out_of_memory().unwrap();
    let mut member = scratch.member("allocate", "268435456");
    assert!(is_readable(&watch, PATIENCE));
    assert_eq!(member.answer(), "");
    wait_for(&watch, Kills::Counted(1));
}

#[test]
fn each_kill_is_told_anew() {
    let mut scratch = Scratch::made(LIMIT);
    let watch = scratch.cgroup.out_of_memory().unwrap();
    for count in 1..=3 {
        let mut member = scratch.member("allocate", "268435456");
        assert!(is_readable(&watch, PATIENCE));
        assert_eq!(member.answer(), "");
        wait_for(&watch, Kills::Counted(count));
    }
}

#[test]
fn the_end_of_the_group_is_told_too() {
    let scratch = Scratch::made(LIMIT);
    let watch = scratch.cgroup.out_of_memory().unwrap();
    scratch.cgroup.delete(PATIENCE).unwrap();
    wait_for(&watch, Kills::Gone);
}

#[test]
fn a_group_that_is_not_there_cannot_be_watched() {
    let scratch = Scratch::new();
    scratch.cgroup.out_of_memory().unwrap_err();
}
