//! `file`: the devices stand in a file that somebody maintains: a mounted ConfigMap, a share, a list that a script
//! writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coracle_akri_protocol::{Device, Properties};
use serde::Deserialize;

use crate::handler::{Failed, Handler, Invalid, details};

/// The handler: the files of one folder.
#[derive(Clone, Debug)]
pub struct Inventory {
    folder: PathBuf,
}

/// What a Configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// The file, by its name in the inventory.
    file: String,
    /// The properties that a device must have, with these values.
    #[serde(default, rename = "match")]
    matching: BTreeMap<String, String>,
}

/// The content of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    devices: Vec<Device>,
}

impl Inventory {
    /// The inventory in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }
}

impl Handler for Inventory {
    type Query = Details;

    fn query(&self, text: &str, _properties: &Properties) -> Result<Details, Invalid> {
        let details: Details = details(text)?;
        // A Configuration must not read what else is in the container.
        if details.file.contains('/') || matches!(details.file.as_str(), "" | "." | "..") {
            let reason = format!(
                "`file: {}` is no file's name in the inventory",
                details.file
            );
            return Err(Invalid { reason });
        }
        Ok(details)
    }

    fn devices(&self, query: &Details) -> Result<Vec<Device>, Failed> {
        let text = fs::read_to_string(self.folder.join(&query.file)).map_err(|error| Failed {
            reason: format!("cannot read {} in the inventory: {error}", query.file),
        })?;
        let content: Content = serde_norway::from_str(&text).map_err(|error| Failed {
            reason: format!("{} is no inventory: {error}", query.file),
        })?;
        let devices = content.devices.into_iter();
        Ok(devices
            .filter(|device| has_all(device, &query.matching))
            .collect())
    }
}

fn has_all(device: &Device, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(name, value)| device.properties.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERAS: &str = "devices:
- id: gate
  properties: { PLACE: gate, KIND: camera }
  mounts: [{ containerPath: /data, hostPath: /srv/gate, readOnly: true }]
  deviceSpecs: [{ containerPath: /dev/video0, hostPath: /dev/video4, permissions: rw }]
- id: yard
  properties: { PLACE: yard }
";

    fn found(content: &str, text: &str) -> Result<Vec<Device>, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cameras.yaml"), content).unwrap();
        let handler = Inventory::new(folder.path());
        let query = handler
            .query(text, &Properties::new())
            .map_err(|invalid| format!("invalid: {invalid}"))?;
        handler
            .devices(&query)
            .map_err(|failed| format!("failed: {failed}"))
    }

    #[test]
    fn the_devices_of_a_file_come_with_mounts_and_device_nodes() {
        let devices = found(CAMERAS, "file: cameras.yaml").unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(devices[0].mounts[0].host_path, "/srv/gate");
        assert!(devices[0].mounts[0].read_only);
        assert_eq!(devices[0].device_specs[0].host_path, "/dev/video4");
        assert_eq!(devices[1].id, "yard");
    }

    #[test]
    fn only_devices_that_match_are_found() {
        let devices = found(CAMERAS, "{file: cameras.yaml, match: {PLACE: yard}}").unwrap();
        let ids: Vec<_> = devices.iter().map(|device| device.id.as_str()).collect();
        assert_eq!(ids, ["yard"]);
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_is_a_failure_and_not_an_empty_list() {
        let missing = found(CAMERAS, "file: nosuch.yaml").unwrap_err();
        assert!(
            missing.starts_with("failed: cannot read nosuch.yaml"),
            "{missing}"
        );
        let wrong = found("device: []", "file: cameras.yaml").unwrap_err();
        assert!(
            wrong.starts_with("failed: cameras.yaml is no inventory"),
            "{wrong}"
        );
    }

    #[test]
    fn a_configuration_cannot_leave_the_inventory() {
        for file in ["../secret", "/etc/passwd", "..", "''"] {
            let refused = found(CAMERAS, &format!("file: {file}")).unwrap_err();
            assert!(refused.starts_with("invalid: "), "{refused}");
        }
    }
}
