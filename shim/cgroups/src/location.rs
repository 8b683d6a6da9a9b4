//! Where a specification puts a container, and who makes that place.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::CgroupError;

const ACCEPTED: &str =
    "an absolute or relative path without `..`, and `slice:prefix:name` for systemd";

/// Longest name of a unit that systemd takes.
const UNIT: usize = 255;

/// A place below the mount point of every hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Relative, of plain names only, and at least one.
    pub(crate) path: PathBuf,
    pub(crate) driver: Driver,
}

/// Who makes the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// This crate, by making folders.
    Cgroupfs,
    /// systemd, as a scope in a slice, or as a slice of its own.
    Systemd { slice: String, unit: String },
}

impl Location {
    /// Understands `linux.cgroupsPath`.
    pub(crate) fn parse(path: &Path) -> Result<Self, CgroupError> {
        let refused = |reason| CgroupError::Location {
            path: path.to_owned(),
            reason,
            accepted: ACCEPTED,
        };
        let text = path.to_str().ok_or_else(|| refused("it is not UTF-8"))?;
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            [slice, prefix, name] if !text.contains('/') => {
                Self::systemd(slice, prefix, name).map_err(refused)
            }
            _ => Self::cgroupfs(path).map_err(refused),
        }
    }

    fn cgroupfs(path: &Path) -> Result<Self, &'static str> {
        let mut found = PathBuf::new();
        for component in path.components() {
            match component {
                Component::RootDir => {}
                Component::Normal(name) => found.push(name),
                _ => return Err("it could lead out of the hierarchy"),
            }
        }
        if found.as_os_str().is_empty() {
            return Err("it is the root, which is everybody's");
        }
        if found.as_os_str().as_encoded_bytes().contains(&0) {
            return Err("it has a zero byte");
        }
        Ok(Self {
            path: found,
            driver: Driver::Cgroupfs,
        })
    }

    fn systemd(slice: &str, prefix: &str, name: &str) -> Result<Self, &'static str> {
        let slice = if slice.is_empty() {
            "system.slice"
        } else {
            slice
        };
        let unit = match prefix {
            _ if is_slice(name) => name.to_owned(),
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        let is_unit = |name: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.\\-@".contains(&byte);
            name.len() <= UNIT && !name.starts_with('.') && name.bytes().all(plain)
        };
        if name.is_empty() {
            return Err("its name is empty");
        }
        if !is_unit(&unit) || !is_unit(slice) {
            return Err("systemd has no units of such names");
        }
        Ok(Self {
            path: expand(slice)?.join(&unit),
            driver: Driver::Systemd {
                slice: slice.to_owned(),
                unit,
            },
        })
    }
}

fn is_slice(name: &str) -> bool {
    Path::new(name).extension() == Some(OsStr::new("slice"))
}

/// The folder of a slice: `a-b.slice` stands in `a.slice`, and `-.slice` is the root.
fn expand(slice: &str) -> Result<PathBuf, &'static str> {
    let stem = slice
        .strip_suffix(".slice")
        .ok_or("its slice has not the suffix `.slice`")?;
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let mut path = PathBuf::new();
    let mut name = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err("its slice has an empty part");
        }
        if !name.is_empty() {
            name.push('-');
        }
        name.push_str(part);
        path.push(format!("{name}.slice"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(text: &str) -> PathBuf {
        Location::parse(Path::new(text)).unwrap().path
    }

    fn reason(text: &str) -> &'static str {
        match Location::parse(Path::new(text)).unwrap_err() {
            CgroupError::Location { reason, .. } => reason,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_path_is_taken_from_the_mount_point() {
        assert_eq!(
            path_of("/kubepods/burstable/podX/c1"),
            Path::new("kubepods/burstable/podX/c1")
        );
        assert_eq!(path_of("default/c1"), Path::new("default/c1"));
        assert_eq!(path_of("//default///c1/"), Path::new("default/c1"));
        assert_eq!(path_of("/a:b:c/d"), Path::new("a:b:c/d"));
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for text in ["..", "/..", "/kubepods/../..", "a/../b", "../x"] {
            assert_eq!(reason(text), "it could lead out of the hierarchy", "{text}");
        }
        for text in ["", "/", "//", "."] {
            assert!(Location::parse(Path::new(text)).is_err(), "{text}");
        }
        assert_eq!(reason("/a\0b"), "it has a zero byte");
    }

    #[test]
    fn a_slice_is_expanded() {
        let text = "kubepods-burstable-pod1_2.slice:cri-containerd:c1";
        let found = Location::parse(Path::new(text)).unwrap();
        assert_eq!(
            found.path,
            Path::new(
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-c1.scope"
            )
        );
        assert_eq!(
            found.driver,
            Driver::Systemd {
                slice: "kubepods-burstable-pod1_2.slice".into(),
                unit: "cri-containerd-c1.scope".into(),
            }
        );
    }

    #[test]
    fn short_forms_of_systemd_are_filled_in() {
        assert_eq!(path_of("::c1"), Path::new("system.slice/c1.scope"));
        assert_eq!(path_of("-.slice:p:c1"), Path::new("p-c1.scope"));
        assert_eq!(
            path_of("a.slice::a-b.slice"),
            Path::new("a.slice/a-b.slice")
        );
    }

    #[test]
    fn names_that_are_no_units_are_refused() {
        for text in [
            "a:p:c",
            "a.slice:p:",
            "a--b.slice:p:c",
            "-a.slice:p:c",
            ".slice:p:c",
        ] {
            assert!(Location::parse(Path::new(text)).is_err(), "{text}");
        }
        for text in ["a.slice:p:c d", "a.slice:..:\n", "a b.slice:p:c"] {
            assert_eq!(reason(text), "systemd has no units of such names", "{text}");
        }
    }
}
