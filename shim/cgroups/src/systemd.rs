//! Groups that systemd makes, as units of its own.
//!
//! systemd owns the tree then: it is asked for a scope with the container's first process in it, and told
//! of the limits that it knows, so that it does not undo them when it reads its units again. The files of
//! the group are written nevertheless, since they can say more.

mod bus;
mod message;
mod properties;

use std::time::Duration;

use oci_spec::runtime::LinuxResources;

pub use bus::BusError;

use bus::Bus;
use properties::Properties;

/// How long systemd may take for one request. It is busy while a machine boots.
const PATIENCE: Duration = Duration::from_secs(30);

/// What systemd says of a unit that it does not know.
const UNKNOWN: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// Has systemd make a scope in this slice with this process in it, and waits until it has.
pub(crate) fn start(
    slice: &str,
    unit: &str,
    resources: &LinuxResources,
    is_unified: bool,
) -> Result<(), BusError> {
    let mut properties = Properties::of_scope(slice, unit, std::process::id());
    properties.limit(resources, is_unified);
    let mut bus = Bus::connect(PATIENCE)?;
    // The last argument is for units that this one would need.
    let none: Vec<(&str, Vec<(&str, zvariant::Value<'_>)>)> = Vec::new();
    let job = bus.start_job(
        "StartTransientUnit",
        &(unit, "fail", properties.entries(), none),
    )?;
    bus.wait_for_job(unit, &job)
}

/// Tells systemd of limits that have changed.
pub(crate) fn update(
    unit: &str,
    resources: &LinuxResources,
    is_unified: bool,
) -> Result<(), BusError> {
    let mut properties = Properties::default();
    properties.limit(resources, is_unified);
    if properties.is_empty() {
        return Ok(());
    }
    let mut bus = Bus::connect(PATIENCE)?;
    // Until the machine boots again: the unit does not live longer.
    bus.call("SetUnitProperties", &(unit, true, properties.entries()))
}

/// Has systemd forget a unit, which has no processes any more. One that it does not know is no error.
pub(crate) fn forget(unit: &str) -> Result<(), BusError> {
    let mut bus = Bus::connect(PATIENCE)?;
    for _ in 0..2 {
        match bus.start_job("StopUnit", &(unit, "replace")) {
            Ok(job) => return bus.wait_for_job(unit, &job),
            Err(BusError::Refused { name, .. }) if name == UNKNOWN => return Ok(()),
            // Another job of the same unit may have just ended in this one's place.
            Err(BusError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
