//! The mounts of control groups, read once in the life of a process and its forks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::{CgroupSetup, DEFAULT_CGROUP_ROOT};

const MOUNTS: &str = "/proc/self/mountinfo";

/// Below the root of a hybrid host: version 2.
const HYBRID: &str = "unified";

/// Why the mounts of control groups are not known.
#[derive(Debug, thiserror::Error)]
pub enum MountsError {
    /// The list of mounts cannot be read.
    #[error("cannot read {MOUNTS}")]
    Read(#[source] io::Error),
    /// Version 2 is not mounted.
    #[error("no cgroup2 file system is mounted")]
    NoUnified,
}

/// What is mounted where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    pub(crate) setup: Option<CgroupSetup>,
    pub(crate) legacy: Vec<PathBuf>,
    pub(crate) unified: Option<PathBuf>,
}

/// The mounts as they were at the first call. A container's own mounts come later, and are not meant.
pub(crate) fn read() -> Result<&'static Mounts, MountsError> {
    static READ: OnceLock<Mounts> = OnceLock::new();
    if let Some(mounts) = READ.get() {
        return Ok(mounts);
    }
    let text = fs::read_to_string(MOUNTS).map_err(MountsError::Read)?;
    Ok(READ.get_or_init(|| Mounts::parse(&text)))
}

impl Mounts {
    fn parse(text: &str) -> Self {
        let root = Path::new(DEFAULT_CGROUP_ROOT);
        let hybrid = root.join(HYBRID);
        let mut mounts = Self::default();
        let mut base = None;
        let mut is_hybrid = false;
        for (point, kind) in text.lines().filter_map(parse_line) {
            is_hybrid |= point == hybrid && kind == "cgroup2";
            if point == root {
                // A later mount covers an earlier one.
                base = Some(kind);
            }
            match kind {
                "cgroup" if !mounts.legacy.contains(&point) => mounts.legacy.push(point),
                "cgroup2" if mounts.unified.is_none() || point == root => {
                    mounts.unified = Some(point);
                }
                _ => {}
            }
        }
        mounts.setup = match base {
            Some("cgroup2") => Some(CgroupSetup::Unified),
            Some("tmpfs") if is_hybrid => Some(CgroupSetup::Hybrid),
            Some("tmpfs") => Some(CgroupSetup::Legacy),
            _ => None,
        };
        mounts
    }
}

/// Mount point and type of a file system, from `ID PARENT DEV ROOT POINT OPTIONS … - TYPE SOURCE SUPER`.
fn parse_line(line: &str) -> Option<(PathBuf, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    Some((PathBuf::from(point), after.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
24 1 0:22 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,name=systemd
30 1 0:25 / /mnt/a\\040b rw - ext4 /dev/sda rw";

    #[test]
    fn version_1_alone_is_legacy() {
        let mounts = Mounts::parse(HOST);
        assert_eq!(mounts.setup, Some(CgroupSetup::Legacy));
        assert_eq!(
            mounts.legacy,
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/systemd"].map(PathBuf::from)
        );
        assert_eq!(mounts.unified, None);
    }

    #[test]
    fn version_2_below_version_1_is_hybrid() {
        let host = format!("{HOST}\n27 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
        let mounts = Mounts::parse(&host);
        assert_eq!(mounts.setup, Some(CgroupSetup::Hybrid));
        assert_eq!(mounts.unified, Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn version_2_at_the_root_is_unified() {
        let mounts = Mounts::parse("24 1 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        assert_eq!(mounts.setup, Some(CgroupSetup::Unified));
        assert_eq!(mounts.unified, Some(DEFAULT_CGROUP_ROOT.into()));
        assert_eq!(mounts.legacy, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_host_without_control_groups_is_none() {
        let mounts = Mounts::parse("24 1 0:22 / /sys rw - sysfs sysfs rw");
        assert_eq!(mounts, Mounts::default());
    }
}
