//! From creation to deletion.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use coracle_cgroups::{CgroupError, Hierarchy};

use crate::scratch::{PATIENCE, Scratch, is_unified, limits};

#[test]
fn a_process_that_enters_is_in_every_hierarchy() {
    let mut scratch = Scratch::made("{}");
    let member = scratch.member("stay", "");
    assert_eq!(scratch.cgroup.processes().unwrap(), [member.id]);
    let found = fs::read_to_string(format!("/proc/{}/cgroup", member.id)).unwrap();
    let elsewhere: Vec<_> = found
        .lines()
        // Version 2 beside version 1 has no controllers, and no group of the container.
        .filter(|line| is_unified() || !line.starts_with("0::"))
        .filter(|line| !line.ends_with(&scratch.path))
        .collect();
    assert_eq!(elsewhere, Vec::<&str>::new());
}

#[test]
fn a_group_is_gone_after_deletion_everywhere() {
    let scratch = Scratch::made("{}");
    assert!(scratch.file("memory", "cgroup.procs").exists());
    scratch.cgroup.delete(Duration::ZERO).unwrap();
    for folder in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let left = folder
            .unwrap()
            .path()
            .join(scratch.path.trim_start_matches('/'));
        assert!(!left.exists(), "{}", left.display());
    }
    assert!(
        !Path::new("/sys/fs/cgroup")
            .join(scratch.path.trim_start_matches('/'))
            .exists()
    );
}

#[test]
fn deletion_can_be_repeated_and_needs_no_creation() {
    let scratch = Scratch::new();
    scratch.cgroup.delete(Duration::ZERO).unwrap();
    scratch.cgroup.create(&limits("{}")).unwrap();
    scratch.cgroup.delete(Duration::ZERO).unwrap();
    scratch.cgroup.delete(Duration::ZERO).unwrap();
}

#[test]
fn a_group_in_use_is_not_deleted_and_says_by_whom() {
    let mut scratch = Scratch::made("{}");
    let member = scratch.member("stay", "");
    match scratch.cgroup.delete(Duration::ZERO).unwrap_err() {
        CgroupError::Busy { processes, .. } => assert_eq!(processes, [member.id]),
        error => panic!("{error}"),
    }
    assert_eq!(scratch.cgroup.processes().unwrap(), [member.id]);
}

#[test]
fn deletion_waits_for_a_process_that_is_about_to_exit() {
    let mut scratch = Scratch::made("{}");
    let mut member = scratch.member("stay", "");
    let began = Instant::now();
    let cgroup = scratch.cgroup.clone();
    let deletion = std::thread::spawn(move || cgroup.delete(PATIENCE));
    std::thread::sleep(Duration::from_millis(50));
    assert!(!deletion.is_finished());
    member.end();
    deletion.join().unwrap().unwrap();
    assert!(began.elapsed() < PATIENCE);
    assert!(!scratch.file("memory", "cgroup.procs").exists());
}

#[test]
fn groups_that_processes_made_below_are_deleted_too() {
    let mut scratch = Scratch::made("{}");
    let folder = scratch.file("memory", "");
    let mut member = scratch.member("nest", folder.to_str().unwrap());
    assert_eq!(member.answer(), "nested");
    assert_eq!(scratch.cgroup.processes().unwrap().len(), 2);
    member.end();
    scratch.cgroup.delete(PATIENCE).unwrap();
    assert!(!folder.exists());
}

#[test]
fn only_the_group_itself_is_deleted() {
    let scratch = Scratch::made("{}");
    let beside = format!("{}-beside", scratch.path);
    let beside = Hierarchy::detect()
        .unwrap()
        .cgroup(Path::new(&beside))
        .unwrap();
    beside.create(&limits("{}")).unwrap();
    scratch.cgroup.delete(Duration::ZERO).unwrap();
    let parent = scratch.file("memory", "").parent().unwrap().to_owned();
    assert!(parent.join("container-beside").is_dir());
}

#[test]
fn a_new_container_does_not_get_a_group_with_processes() {
    let mut scratch = Scratch::made("{}");
    let member = scratch.member("stay", "");
    match scratch.cgroup.create(&limits("{}")).unwrap_err() {
        CgroupError::Occupied { processes, .. } => assert_eq!(processes, [member.id]),
        error => panic!("{error}"),
    }
    assert_eq!(scratch.cgroup.processes().unwrap(), [member.id]);
}

#[test]
fn a_group_that_a_killed_try_left_is_taken_over() {
    let mut scratch = Scratch::made("{}");
    scratch
        .cgroup
        .create(&limits(r#"{"pids": {"limit": 77}}"#))
        .unwrap();
    assert_eq!(scratch.read("pids", "pids.max"), "77");
    let _member = scratch.member("stay", "");
}

#[test]
fn a_limit_that_the_kernel_refuses_leaves_nothing() {
    let scratch = Scratch::new();
    let wrong = limits(r#"{"cpu": {"cpus": "4000"}}"#);
    match scratch.cgroup.create(&wrong).unwrap_err() {
        CgroupError::Write { path, value, .. } => {
            assert_eq!(value, "4000");
            assert_eq!(path, scratch.file("cpuset", "cpuset.cpus"));
        }
        error => panic!("{error}"),
    }
    assert!(!scratch.file("cpuset", "").exists());
    assert!(!scratch.file("memory", "").exists());
}

#[test]
fn a_directory_is_there_with_version_2_alone() {
    let scratch = Scratch::new();
    assert!(scratch.cgroup.directory().unwrap().is_none());
    scratch.cgroup.create(&limits("{}")).unwrap();
    assert_eq!(scratch.cgroup.directory().unwrap().is_some(), is_unified());
}
