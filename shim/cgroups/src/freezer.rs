//! Stopping all processes of a group at once, and letting them go on.

use std::thread;
use std::time::{Duration, Instant};

use crate::hierarchy::Version;
use crate::resources::Files;
use crate::{Cgroup, CgroupError, file};

/// A process in the middle of a system call stops within this time, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(2);

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Tells all processes to stop, or to go on, and waits until the kernel says that they do.
pub(crate) fn set(cgroup: &Cgroup, frozen: bool) -> Result<(), CgroupError> {
    let switch = Switch::of(cgroup)?;
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    switch.set(frozen)?;
    while switch.is_settled()? != frozen {
        if Instant::now() >= deadline {
            // Neither half stopped nor half running.
            switch.set(!frozen)?;
            return Err(CgroupError::Unsettled {
                path: switch.files.path(""),
                wanted: if frozen { "frozen" } else { "thawed" },
                patience: PATIENCE,
            });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        if switch.is_legacy {
            // Version 1 misses a process that forks or is traced at that moment, until it is told again.
            switch.set(frozen)?;
        }
    }
    Ok(())
}

/// Whether the processes were told to stand still, be it that one of them is on its way out.
pub(crate) fn is_frozen(cgroup: &Cgroup) -> Result<bool, CgroupError> {
    let switch = Switch::of(cgroup)?;
    let name = match switch.is_legacy {
        true => "freezer.self_freezing",
        false => "cgroup.freeze",
    };
    Ok(switch.files.number(name)? == Some(1))
}

struct Switch {
    files: Files,
    is_legacy: bool,
}

impl Switch {
    fn of(cgroup: &Cgroup) -> Result<Self, CgroupError> {
        let is_legacy = matches!(cgroup.version(), Version::V1(_));
        let files = match is_legacy {
            true => Files::of(cgroup, "freezer", "pause")?,
            // Version 2 needs no controller for it.
            false => Files::at(cgroup.folder_of("memory")),
        };
        Ok(Self { files, is_legacy })
    }

    fn set(&self, frozen: bool) -> Result<(), CgroupError> {
        match (self.is_legacy, frozen) {
            (true, true) => self.files.write("freezer.state", "FROZEN"),
            (true, false) => self.files.write("freezer.state", "THAWED"),
            (false, true) => self.files.write("cgroup.freeze", "1"),
            (false, false) => self.files.write("cgroup.freeze", "0"),
        }
    }

    /// Whether all processes stand still. Version 1 has a state between, which is neither.
    fn is_settled(&self) -> Result<bool, CgroupError> {
        if self.is_legacy {
            return Ok(file::read(&self.files.path("freezer.state"))?.trim() == "FROZEN");
        }
        let events = file::read(&self.files.path("cgroup.events"))?;
        Ok(events.lines().any(|line| line == "frozen 1"))
    }
}
