//! What a group uses and has used.
//!
//! The two versions count different things in different units, and consumers want them as they are: each
//! has its own types. What this host has no controller for is absent, and so is what its kernel does not
//! count.

mod counters;
pub mod v1;
pub mod v2;

use std::fs;
use std::path::Path;

pub use counters::Counters;

use crate::hierarchy::Version;
use crate::{Cgroup, CgroupError, file};

/// Figures of one group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// From a host with version 1.
    V1(v1::Statistics),
    /// From a host with version 2.
    V2(v2::Statistics),
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be; none without a limit.
    pub limit: Option<u64>,
}

pub(crate) fn read(cgroup: &Cgroup) -> Result<Statistics, CgroupError> {
    match cgroup.version() {
        Version::V1(_) => v1::read(cgroup).map(Statistics::V1),
        Version::V2 { .. } => v2::read(cgroup).map(Statistics::V2),
    }
}

fn pids(cgroup: &Cgroup) -> Result<Option<Pids>, CgroupError> {
    let Some(folder) = cgroup.folder_with("pids") else {
        return Ok(None);
    };
    let Some(current) = number(&folder, "pids.current")? else {
        return Ok(None);
    };
    Ok(Some(Pids {
        current,
        limit: number(&folder, "pids.max")?,
    }))
}

/// A number; none where there is no such file, or it says `max`.
fn number(folder: &Path, name: &str) -> Result<Option<u64>, CgroupError> {
    let path = folder.join(name);
    let text = file::read_if_there(&path)?;
    text.map_or(Ok(None), |text| file::number(&path, &text))
}

/// Lines `NAME NUMBER`; none where there is no such file.
fn counters(folder: &Path, name: &str) -> Result<Option<Counters>, CgroupError> {
    let path = folder.join(name);
    let text = file::read_if_there(&path)?;
    text.map(|text| Counters::parse(&path, &text)).transpose()
}

/// The sizes of huge pages for which the folder has a file `hugetlb.SIZE` and this suffix.
fn page_sizes(folder: &Path, suffix: &str) -> Result<Vec<String>, CgroupError> {
    let failed = || CgroupError::folder("list", folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let size = name.to_str().and_then(|name| name.strip_prefix("hugetlb."));
        let size = size.and_then(|name| name.strip_suffix(suffix));
        found.extend(size.filter(|size| !size.contains('.')).map(str::to_owned));
    }
    found.sort_unstable();
    Ok(found)
}

/// `MAJOR:MINOR`.
fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
