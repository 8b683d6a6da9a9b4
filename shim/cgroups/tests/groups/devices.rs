//! Which devices open.

use crate::scratch::Scratch;

/// As containerd lists them: nothing, then what the container has.
fn with(rules: &str) -> String {
    format!(r#"{{"devices": [{{"allow": false, "access": "rwm"}}{rules}]}}"#)
}

fn open(scratch: &mut Scratch, device: &str) -> String {
    scratch.member("open", device).answer()
}

#[test]
fn only_what_every_container_has_opens() {
    let mut scratch = Scratch::made(&with(""));
    assert_eq!(open(&mut scratch, "/dev/null"), "opened");
    assert_eq!(open(&mut scratch, "/dev/urandom"), "opened");
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "permission denied");
}

#[test]
fn the_same_is_so_without_any_rule() {
    let mut scratch = Scratch::made("{}");
    assert_eq!(open(&mut scratch, "/dev/zero"), "opened");
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "permission denied");
}

#[test]
fn what_is_listed_opens_with_the_access_that_is_listed() {
    let listed = r#", {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"}"#;
    let mut scratch = Scratch::made(&with(listed));
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "opened");
    let read_only = r#", {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}"#;
    let mut scratch = Scratch::made(&with(read_only));
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "permission denied");
}

#[test]
fn a_privileged_container_has_all() {
    let mut scratch = Scratch::made(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "opened");
}

#[test]
fn an_update_leaves_devices_as_they_are() {
    let mut scratch = Scratch::made(&with(""));
    let all = crate::scratch::limits(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
    scratch.cgroup.update(&all).unwrap();
    assert_eq!(open(&mut scratch, "/dev/kmsg"), "permission denied");
}
