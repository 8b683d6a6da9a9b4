//! Whether a process is in the control group that its specification names.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::common::AnyManagerError;

/// Accepts a process that is in `cgroup` in each hierarchy that has a controller of resources.
///
/// The kernel shows a path from the root of its hierarchy or namespace, the specification one from a mount
/// point, so ends are compared.
pub(crate) fn check(pid: Pid, cgroup: &Path) -> Result<(), AnyManagerError> {
    let file = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(source) => return Err(AnyManagerError::Read { path: file, source }),
    };
    if is_inside(&text, cgroup) {
        return Ok(());
    }
    Err(AnyManagerError::Elsewhere {
        pid: pid.as_raw(),
        expected: cgroup.to_owned(),
        found: text.lines().map(str::to_owned).collect(),
    })
}

/// The controllers whose absence from the container's group would leave it without a limit that is always
/// there where the controller is.
const RESOURCES: [&str; 4] = ["cpu", "memory", "devices", "pids"];

fn is_inside(text: &str, cgroup: &Path) -> bool {
    let end = end(cgroup);
    let lines: Vec<_> = text.lines().filter_map(parse_line).collect();
    let is_legacy = |controllers: &str| controllers.split(',').any(|one| RESOURCES.contains(&one));
    let unified = !lines.iter().any(|(controllers, _)| is_legacy(controllers));
    let mut relevant = lines
        .iter()
        .filter(|(controllers, _)| is_legacy(controllers) || (unified && controllers.is_empty()))
        .peekable();
    relevant.peek().is_some() && relevant.all(|(_, path)| path.ends_with(&end))
}

/// The last components of the group's path: all of them, or the unit that systemd makes of
/// `slice:prefix:name`.
fn end(cgroup: &Path) -> PathBuf {
    let text = cgroup.as_os_str().to_string_lossy();
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [_, _, name] if !text.contains('/') && is_slice(name) => name.into(),
        [_, "", name] if !text.contains('/') => format!("{name}.scope").into(),
        [_, prefix, name] if !text.contains('/') => format!("{prefix}-{name}.scope").into(),
        _ => cgroup.strip_prefix("/").unwrap_or(cgroup).to_owned(),
    }
}

fn is_slice(name: &str) -> bool {
    Path::new(name).extension() == Some(OsStr::new("slice"))
}

/// Controllers and path, from `ID:CONTROLLERS:PATH`.
fn parse_line(line: &str) -> Option<(&str, &Path)> {
    let mut parts = line.splitn(3, ':').skip(1);
    Some((parts.next()?, Path::new(parts.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
4:memory:/kubepods/pod1/c1
3:cpu,cpuacct:/kubepods/pod1/c1
2:freezer:/
1:name=systemd:/
0::/system.slice/containerd.service";

    #[test]
    fn a_process_in_each_controller_of_resources_is_inside() {
        assert!(is_inside(HYBRID, Path::new("/kubepods/pod1/c1")));
        assert!(is_inside(HYBRID, Path::new("kubepods/pod1/c1")));
    }

    #[test]
    fn a_process_outside_of_one_controller_is_not_inside() {
        let text = HYBRID.replace("memory:/kubepods/pod1/c1", "memory:/kubepods/pod1");
        assert!(!is_inside(&text, Path::new("/kubepods/pod1/c1")));
        assert!(!is_inside(HYBRID, Path::new("/pods/pod1/c1")));
        assert!(!is_inside("", Path::new("/kubepods/pod1/c1")));
    }

    #[test]
    fn version_2_and_systemd_are_understood() {
        let scope = "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-c1.scope";
        let path = Path::new("kubepods-pod1.slice:cri-containerd:c1");
        assert!(is_inside(scope, path));
        assert!(!is_inside("0::/", path));
        assert!(!is_inside(
            scope,
            Path::new("kubepods-pod1.slice:cri-containerd:c2")
        ));
    }

    #[test]
    fn a_process_elsewhere_is_refused_with_what_was_found() {
        let error = check(Pid::this(), Path::new("/coracle-nowhere")).unwrap_err();
        let AnyManagerError::Elsewhere {
            pid,
            expected,
            found,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(pid, Pid::this().as_raw());
        assert_eq!(expected, Path::new("/coracle-nowhere"));
        assert_ne!(found, Vec::<String>::new());
    }
}
