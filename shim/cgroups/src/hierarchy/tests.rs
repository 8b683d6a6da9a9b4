//! What is made of a list of mounts. The folders that the lists name are looked for on this host.

use super::*;

fn points(version: Option<Version>) -> Vec<(PathBuf, Vec<String>)> {
    match version {
        Some(Version::V1(mounts)) => mounts
            .into_iter()
            .map(|mount| (mount.point, mount.controllers))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_hierarchy_of_version_1_is_found_once_and_cpu_last() {
    let text = "\
24 1 0:22 / /sys rw shared:9 - tmpfs tmpfs rw,mode=755
25 24 0:23 / /tmp rw shared:10 - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /usr rw shared:11 - cgroup cgroup rw,xattr,name=systemd
27 24 0:25 / /var rw shared:12 - cgroup cgroup rw,name=elsewhere
28 24 0:26 / /etc rw shared:13 - cgroup cgroup rw,memory
29 24 0:27 / /dev rw shared:14 - cgroup2 cgroup2 rw,nsdelegate
30 24 0:26 / /opt rw shared:13 - cgroup cgroup rw,memory";
    let found = points(parse(text));
    let owned = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found,
        [
            ("/usr".into(), owned(&[NAMED])),
            ("/etc".into(), owned(&["memory"])),
            ("/tmp".into(), owned(&["cpu", "cpuacct"])),
        ]
    );
}

#[test]
fn version_2_is_found_also_beside_a_named_hierarchy() {
    let text = "\
26 24 0:24 / /usr rw - cgroup cgroup rw,xattr,name=systemd
24 1 0:22 / /mnt/other rw - cgroup2 cgroup2 rw
25 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    match parse(text) {
        Some(Version::V2 { root, .. }) => assert_eq!(root, Path::new(ROOT)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_host_without_control_groups_is_refused() {
    assert!(parse("24 1 0:22 / /sys rw - sysfs sysfs rw").is_none());
}

#[test]
fn this_host_has_control_groups() {
    let hierarchy = Hierarchy::detect().unwrap();
    let expected = !fs::exists("/sys/fs/cgroup/memory").unwrap();
    assert_eq!(hierarchy.is_unified(), expected);
}
