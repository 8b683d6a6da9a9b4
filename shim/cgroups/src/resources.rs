//! From the limits of a specification to the files of a group.

mod block;
mod memory;
mod v1;
mod v2;
pub(crate) mod weight;

use std::path::PathBuf;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxRdma, LinuxResources};

use crate::hierarchy::Version;
use crate::{Cgroup, CgroupError, devices, file};

/// When limits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before the first process: also those that cannot change later.
    Creation,
    /// While processes run.
    Update,
}

/// Writes all limits that are named.
pub(crate) fn write(
    cgroup: &Cgroup,
    resources: &LinuxResources,
    moment: Moment,
) -> Result<(), CgroupError> {
    match cgroup.version() {
        Version::V1(_) => v1::write(cgroup, resources)?,
        Version::V2 { .. } => v2::write(cgroup, resources)?,
    }
    match moment {
        Moment::Creation => {
            devices::confine(cgroup, resources.devices().as_deref().unwrap_or_default())
        }
        Moment::Update => Ok(()),
    }
}

/// The files of one controller in one group.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    /// The files that the limit `key` of a specification needs.
    pub(crate) fn of(
        cgroup: &Cgroup,
        controller: &'static str,
        key: &'static str,
    ) -> Result<Self, CgroupError> {
        match cgroup.folder_with(controller) {
            Some(folder) => Ok(Self { folder }),
            None => Err(CgroupError::NoController {
                key,
                controller,
                path: cgroup.path().to_owned(),
            }),
        }
    }

    /// The files in a folder that has them whatever controllers there are.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn write(&self, name: &str, value: &str) -> Result<(), CgroupError> {
        file::write(&self.path(name), value)
    }

    /// Writes a number that is named.
    pub(crate) fn set(&self, name: &str, value: Option<impl ToString>) -> Result<(), CgroupError> {
        value.map_or(Ok(()), |value| self.write(name, &value.to_string()))
    }

    /// A number, none for `max`.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, CgroupError> {
        let path = self.path(name);
        file::number(&path, &file::read(&path)?)
    }
}

/// Limits of huge pages: `suffix` names the file after `hugetlb.2MB.`, `reserved` the one for reservations,
/// which old kernels have not.
fn huge_pages(
    cgroup: &Cgroup,
    limits: &[LinuxHugepageLimit],
    suffix: &str,
    reserved: &str,
) -> Result<(), CgroupError> {
    const KEY: &str = "linux.resources.hugepageLimits";
    for limit in limits {
        let size = limit.page_size();
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(CgroupError::Value {
                key: KEY,
                value: size.clone(),
                accepted: "sizes of pages as `64KB`, `2MB` and `1GB`",
            });
        }
        let files = Files::of(cgroup, "hugetlb", KEY)?;
        let value = limit.limit().to_string();
        files.write(&format!("hugetlb.{size}.{suffix}"), &value)?;
        let reserved = format!("hugetlb.{size}.{reserved}");
        if files.exists(&reserved) {
            files.write(&reserved, &value)?;
        }
    }
    Ok(())
}

/// Limits of RDMA devices; both versions have the same file.
fn rdma<'a>(
    cgroup: &Cgroup,
    limits: impl IntoIterator<Item = (&'a String, &'a LinuxRdma)>,
) -> Result<(), CgroupError> {
    for (device, limit) in limits {
        let files = Files::of(cgroup, "rdma", "linux.resources.rdma")?;
        let value =
            |limit: Option<u32>| limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string());
        let handles = value(limit.hca_handles());
        let objects = value(limit.hca_objects());
        files.write(
            "rdma.max",
            &format!("{device} hca_handle={handles} hca_object={objects}"),
        )?;
    }
    Ok(())
}

/// The value of `pids.max`. Zero means in a specification that nothing is said.
fn processes(limit: i64) -> Option<String> {
    match limit {
        0 => None,
        limit if limit < 0 => Some("max".to_owned()),
        limit => Some(limit.to_string()),
    }
}
