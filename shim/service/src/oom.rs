//! Telling containerd when the kernel has killed for memory.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use containerd_shim_protos::events::task::TaskOOM;
use coracle_cgroups::{Cgroup, Kills, OutOfMemory};
use tokio::io::Interest;

use crate::events::Events;
use crate::readiness;

/// A watch on the control group of one container.
pub(crate) struct Watch {
    container: String,
    events: Events,
    kernel: OutOfMemory,
    told: AtomicU64,
}

/// Watches until the group is gone.
///
/// # Errors
/// When the kernel does not watch.
pub(crate) fn watch(events: Events, container: &str, group: &Cgroup) -> Result<Arc<Watch>> {
    let kernel = group.out_of_memory()?;
    let something = readiness::of(kernel.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    let watch = Arc::new(Watch {
        container: container.to_owned(),
        events,
        kernel,
        told: AtomicU64::new(0),
    });
    let watching = Arc::clone(&watch);
    tokio::spawn(async move {
        while let Ok(mut ready) = something.readable().await {
            ready.clear_ready();
            if watching.tell() == Told::Gone {
                return;
            }
        }
    });
    Ok(watch)
}

#[derive(PartialEq, Eq)]
pub(crate) enum Told {
    Counted,
    Gone,
}

impl Watch {
    /// Tells containerd of kills that it has not been told of. Called before an exit is announced, so that
    /// containerd knows the reason when it hears of the exit.
    pub(crate) fn tell(&self) -> Told {
        match self.kernel.kills() {
            Ok(Kills::Counted(kills)) => {
                if kills > self.told.swap(kills, Ordering::Relaxed) {
                    log::info!(container = self.container, kills; "killed for memory");
                    self.events.publish(&TaskOOM {
                        container_id: self.container.clone(),
                        ..Default::default()
                    });
                }
                Told::Counted
            }
            Ok(Kills::Gone) => Told::Gone,
            Err(error) => {
                log::warn!(container = self.container, error:% = error; "kills for memory are not seen");
                Told::Gone
            }
        }
    }
}
