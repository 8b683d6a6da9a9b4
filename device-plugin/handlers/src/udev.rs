//! `udev`: devices of the node, read from sysfs; without a udev daemon, netlink or libudev.

mod pattern;
mod sysfs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coracle_akri_protocol::{Device, DeviceSpec, Properties};
use serde::Deserialize;

use crate::handler::{Failed, Handler, Invalid, details};
use pattern::matches;
use sysfs::Entry;

/// The property with the path of the device below sysfs, named as in Akri's own handler.
pub const DEVPATH: &str = "UDEV_DEVPATH";

/// The property with the device node, named as in Akri's own handler.
pub const DEVNODE: &str = "UDEV_DEVNODE";

/// The handler.
#[derive(Clone, Debug)]
pub struct Udev {
    sysfs: PathBuf,
}

/// What a Configuration asks for: all that is given must match. Values are patterns, in which `*` stands for any
/// text and `?` for any character.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The class or bus, such as `video4linux`, `block` or `usb`.
    subsystem: String,
    /// Files in the device's folder, such as `name: "HD *"`.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Lines of the device's `uevent`, such as `DEVNAME: "video*"`.
    #[serde(default)]
    properties: BTreeMap<String, String>,
    /// What a broker may do with the device node, of `r`, `w` and `m`.
    #[serde(default = "read_and_write")]
    permissions: String,
}

fn read_and_write() -> String {
    "rw".to_owned()
}

impl Udev {
    /// A handler that reads the sysfs at `sysfs`.
    #[must_use]
    pub fn new(sysfs: &Path) -> Self {
        Self {
            sysfs: sysfs.to_owned(),
        }
    }
}

impl Handler for Udev {
    type Query = Details;

    fn query(&self, text: &str, _properties: &Properties) -> Result<Details, Invalid> {
        let details: Details = details(text)?;
        let names = details.attributes.keys().chain([&details.subsystem]);
        // Attributes may lie in a folder below the device's, as `power/control` does.
        if let Some(name) = names.into_iter().find(|name| !is_path(name)) {
            let reason = format!("{name:?} is no name in sysfs");
            return Err(Invalid { reason });
        }
        let known = |letter| "rwm".contains(letter);
        if details.permissions.is_empty() || !details.permissions.chars().all(known) {
            let reason = format!("permissions {:?} are not of r, w, m", details.permissions);
            return Err(Invalid { reason });
        }
        Ok(details)
    }

    fn devices(&self, query: &Details) -> Result<Vec<Device>, Failed> {
        let entries = sysfs::entries(&self.sysfs, &query.subsystem).map_err(|error| Failed {
            reason: format!("cannot read sysfs: {error}"),
        })?;
        let mut devices: Vec<Device> = entries
            .iter()
            .filter(|entry| is_wanted(entry, query))
            .map(|entry| device(entry, query))
            .collect();
        // A folder has no order, and an order that changes would look like a change.
        devices.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(devices)
    }
}

fn is_path(name: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..");
    name.split('/').all(part)
}

fn is_wanted(entry: &Entry, query: &Details) -> bool {
    let property = |(name, pattern): (&String, &String)| {
        let value = entry.uevent.get(name);
        value.is_some_and(|value| matches(pattern, value))
    };
    let attribute = |(name, pattern): (&String, &String)| {
        let value = entry.attribute(name);
        value.is_some_and(|value| matches(pattern, &value))
    };
    query.properties.iter().all(property) && query.attributes.iter().all(attribute)
}

fn device(entry: &Entry, query: &Details) -> Device {
    let mut properties = BTreeMap::from([(DEVPATH.to_owned(), entry.devpath.clone())]);
    let mut device_specs = Vec::new();
    if let Some(name) = entry.uevent.get("DEVNAME") {
        let node = format!("/dev/{name}");
        properties.insert(DEVNODE.to_owned(), node.clone());
        device_specs.push(DeviceSpec {
            container_path: node.clone(),
            host_path: node,
            permissions: query.permissions.clone(),
        });
    }
    Device {
        id: entry.devpath.clone(),
        properties,
        device_specs,
        mounts: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
