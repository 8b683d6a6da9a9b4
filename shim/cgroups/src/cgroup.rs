//! The control group of one container.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use oci_spec::runtime::LinuxResources;

use crate::folders::{self, PROCESSES, Removal};
use crate::hierarchy::{Mount, Version};
use crate::location::{Driver, Location};
use crate::resources::{self, Moment};
use crate::statistics::{self, Statistics};
use crate::{
    BusError, CgroupError, Hierarchy, OutOfMemory, cpuset, delegation, file, freezer, processes,
    systemd,
};

/// First pause between two tries to remove a group that is in use; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The control group of a container, there or not.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    location: Location,
}

impl Cgroup {
    pub(crate) fn new(hierarchy: Hierarchy, location: Location) -> Self {
        Self {
            hierarchy,
            location,
        }
    }

    /// Whether systemd makes this group.
    #[must_use]
    pub fn is_systemd(&self) -> bool {
        matches!(self.location.driver, Driver::Systemd { .. })
    }

    /// Makes the group, and writes its limits. A group of this name without processes, left by a try that
    /// was killed, is taken over. systemd only makes a group for a process, so there nothing is made yet.
    ///
    /// # Errors
    /// When the group is in use, or the kernel refuses a limit. Nothing is left then.
    pub fn create(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        for folder in self.folders() {
            folders::refuse_occupied(&folder)?;
        }
        if self.is_systemd() {
            return Ok(());
        }
        self.make()
            .and_then(|()| self.limit(resources))
            .inspect_err(|_| self.undo())
    }

    /// Moves this process, which must have one thread, into the group that [`Self::create`] has made.
    /// systemd makes it now, with these limits, which are those of the creation; that takes milliseconds.
    ///
    /// # Errors
    /// When systemd or the kernel refuses. What systemd has made goes with this process.
    pub fn enter_self(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if let Driver::Systemd { slice, unit } = &self.location.driver {
            systemd::start(slice, unit, resources, self.hierarchy.is_unified())
                .map_err(systemd_error("start", unit))?;
            // Controllers that systemd does not know, or does not hand down.
            self.make()?;
            self.limit(resources)?;
            if self.hierarchy.is_unified() {
                // It is there: moving it again would cost as much as the first time.
                return Ok(());
            }
        }
        self.join_self()
    }

    /// Moves this process into the group of a container that runs, as `exec` does.
    ///
    /// # Errors
    /// When there is no such group, or the kernel refuses.
    pub fn join_self(&self) -> Result<(), CgroupError> {
        match &*self.hierarchy.version {
            // The kernel takes `0` for the writer itself.
            Version::V2 { root, .. } => {
                file::write(&root.join(&self.location.path).join(PROCESSES), "0")
            }
            Version::V1(mounts) => {
                let members = members()?;
                mounts.iter().try_for_each(|mount| {
                    let folder = mount.point.join(&self.location.path);
                    file::write(&folder.join(members), "0")
                })
            }
        }
    }

    /// The folder of a group that is there, for `clone3` with `CLONE_INTO_CGROUP`. None with version 1,
    /// where no such call is, and none before systemd has made it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn directory(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Version::V2 { root, .. } = &*self.hierarchy.version else {
            return Ok(None);
        };
        let path = root.join(&self.location.path);
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH;
        match OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(&path)
        {
            Ok(folder) => Ok(Some(File::into(folder))),
            Err(error) if file::is_gone(&error) => Ok(None),
            Err(error) => Err(CgroupError::folder("open", &path)(error)),
        }
    }

    /// Writes limits anew. What `resources` does not name stays as it is, and so do devices: a container
    /// keeps those that it was made with.
    ///
    /// # Errors
    /// When the kernel refuses a limit. Those before it are in force then.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if let Driver::Systemd { unit, .. } = &self.location.driver {
            systemd::update(unit, resources, self.hierarchy.is_unified())
                .map_err(systemd_error("change", unit))?;
        }
        resources::write(self, resources, Moment::Update)
    }

    /// The processes of the group, and of groups that they have made below it; none when it is gone.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        folders::processes(&self.folder_of("freezer"))
    }

    /// Stops all processes of the group, and returns when they stand still, at most two seconds later.
    ///
    /// # Errors
    /// [`CgroupError::Unsettled`] when they do not, in which case they go on; otherwise when the kernel
    /// refuses.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        freezer::set(self, true)
    }

    /// Lets the processes of a frozen group go on.
    ///
    /// # Errors
    /// As for [`Self::freeze`].
    pub fn thaw(&self) -> Result<(), CgroupError> {
        freezer::set(self, false)
    }

    /// Whether the group was frozen, and not thawed since.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        freezer::is_frozen(self)
    }

    /// Sends a signal to all processes of the group and of groups below it. One that is killed is killed
    /// also while it is frozen; another signal takes effect when the group is thawed, except that version 2
    /// lets one that ends the process do so at once. Nobody is waited for; a group that is gone is no error.
    ///
    /// # Errors
    /// When a process cannot be sent the signal, or the group not be frozen for that moment.
    pub fn kill_all(&self, signal: Signal) -> Result<(), CgroupError> {
        processes::signal(self, signal)
    }

    /// What the group uses and has used.
    ///
    /// # Errors
    /// When the kernel does not say, as for a group that is gone.
    pub fn statistics(&self) -> Result<Statistics, CgroupError> {
        statistics::read(self)
    }

    /// Watches whether processes of the group are killed because memory runs out. The group must be there.
    ///
    /// # Errors
    /// When this host has no memory controller, or the kernel refuses.
    pub fn out_of_memory(&self) -> Result<OutOfMemory, CgroupError> {
        OutOfMemory::watch(self)
    }

    /// Removes the group and those that its processes have made below it, and waits up to `patience` for
    /// processes that are about to exit. A group that is gone is no error. With no patience it tries once.
    ///
    /// # Errors
    /// [`CgroupError::Busy`] when processes remain, otherwise when the kernel refuses.
    pub fn delete(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let mut pause = PAUSE;
        loop {
            let Some(busy) = self.remove()? else {
                return self.forget();
            };
            if Instant::now() >= deadline {
                let processes = folders::processes(&busy)?;
                return Err(CgroupError::Busy {
                    path: busy,
                    processes,
                });
            }
            thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What has no processes and no folder is forgotten by systemd by itself, mostly.
    fn forget(&self) -> Result<(), CgroupError> {
        match &self.location.driver {
            Driver::Systemd { unit, .. } => {
                systemd::forget(unit).map_err(systemd_error("stop", unit))
            }
            Driver::Cgroupfs => Ok(()),
        }
    }

    /// One try; answers with a folder that is in use.
    fn remove(&self) -> Result<Option<PathBuf>, CgroupError> {
        let mut busy = None;
        for folder in self.folders() {
            if folders::remove(&folder)? == Removal::Busy {
                busy = Some(folder);
            }
        }
        Ok(busy)
    }

    fn make(&self) -> Result<(), CgroupError> {
        match &*self.hierarchy.version {
            Version::V1(mounts) => mounts.iter().try_for_each(|mount| self.make_in(mount)),
            Version::V2 { root, controllers } => {
                delegation::make(root, &self.location.path, controllers)
            }
        }
    }

    fn make_in(&self, mount: &Mount) -> Result<(), CgroupError> {
        let has_cpuset = mount.has("cpuset");
        folders::make(&mount.point, &self.location.path, |folder| {
            if has_cpuset {
                cpuset::inherit(folder)
            } else {
                Ok(())
            }
        })
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        resources::write(self, resources, Moment::Creation)
    }

    /// After a failure, which is what the caller is told of.
    fn undo(&self) {
        if let Err(error) = self.delete(Duration::ZERO) {
            log::warn!(path:% = self.location.path.display(), error:% = error; "a control group is left");
        }
    }

    /// Where it stands below each mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.location.path
    }

    /// The version, for what differs by it.
    pub(crate) fn version(&self) -> &Version {
        &self.hierarchy.version
    }

    /// The group's folder in each hierarchy.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        match self.version() {
            Version::V1(mounts) => mounts
                .iter()
                .map(|mount| mount.point.join(&self.location.path))
                .collect(),
            Version::V2 { root, .. } => vec![root.join(&self.location.path)],
        }
    }

    /// The group's folder where this controller's files are, if this host has the controller.
    pub(crate) fn folder_with(&self, controller: &str) -> Option<PathBuf> {
        let point = match self.version() {
            Version::V1(mounts) => &mounts.iter().find(|mount| mount.has(controller))?.point,
            Version::V2 { root, controllers } => {
                controllers.iter().find(|one| *one == controller)?;
                root
            }
        };
        Some(point.join(&self.location.path))
    }

    /// A folder that lists the group's processes: best that of `controller`.
    pub(crate) fn folder_of(&self, controller: &str) -> PathBuf {
        self.folder_with(controller)
            .or_else(|| self.folders().into_iter().next())
            .unwrap_or_else(|| self.location.path.clone())
    }
}

fn systemd_error(operation: &'static str, unit: &str) -> impl FnOnce(BusError) -> CgroupError {
    move |source| CgroupError::Systemd {
        operation,
        unit: unit.to_owned(),
        source,
    }
}

/// The file that takes this process. Writing `0` to `tasks` moves the calling thread, and is the one move
/// for which the kernel need not stop all forks of the machine: `cgroup.procs` waits some 10 ms for that.
fn members() -> Result<&'static str, CgroupError> {
    /// Links of the folder of a process with one thread: its own two, and that of the thread.
    const ALONE: u64 = 3;
    let path = Path::new("/proc/self/task");
    let found = fs::metadata(path).map_err(CgroupError::folder("open", path))?;
    Ok(if found.nlink() == ALONE {
        "tasks"
    } else {
        PROCESSES
    })
}
