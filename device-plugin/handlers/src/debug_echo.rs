//! `debugEcho`: the devices are those that the details name, and a file says whether they are there.
//!
//! To an Agent it behaves as Akri's own handler of that name.

use std::fs;
use std::path::{Path, PathBuf};

use coracle_akri_protocol::{Device, Properties};
use serde::Deserialize;

use crate::handler::{Failed, Handler, Invalid, details};

/// The property of each device: its description.
pub const DESCRIPTION: &str = "DEBUG_ECHO_DESCRIPTION";

/// The word in the availability file that takes all devices away.
pub const OFFLINE: &str = "OFFLINE";

/// The handler.
#[derive(Clone, Debug)]
pub struct DebugEcho {
    availability: PathBuf,
}

/// What a Configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Details {
    descriptions: Vec<String>,
}

impl DebugEcho {
    /// A handler that looks into the file `availability`.
    #[must_use]
    pub fn new(availability: &Path) -> Self {
        Self {
            availability: availability.to_owned(),
        }
    }

    /// A file that is not there, or cannot be read, takes nothing away, as with Akri's own handler.
    fn is_offline(&self) -> bool {
        fs::read(&self.availability)
            .is_ok_and(|text| String::from_utf8_lossy(&text).contains(OFFLINE))
    }
}

impl Handler for DebugEcho {
    type Query = Details;

    fn query(&self, text: &str, _properties: &Properties) -> Result<Details, Invalid> {
        details(text)
    }

    fn devices(&self, query: &Details) -> Result<Vec<Device>, Failed> {
        if self.is_offline() {
            return Ok(Vec::new());
        }
        let devices = query.descriptions.iter().map(|description| Device {
            id: description.clone(),
            properties: [(DESCRIPTION.to_owned(), description.clone())].into(),
            ..Device::default()
        });
        Ok(devices.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(availability: Option<&str>, text: &str) -> Result<Vec<String>, Invalid> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("availability.txt");
        if let Some(content) = availability {
            fs::write(&file, content).unwrap();
        }
        let handler = DebugEcho::new(&file);
        let query = handler.query(text, &Properties::new())?;
        let devices = handler.devices(&query).unwrap();
        Ok(devices.into_iter().map(|device| device.id).collect())
    }

    #[test]
    fn the_devices_are_there_unless_the_file_says_offline() {
        let text = r#"descriptions: ["foo0", "foo1"]"#;
        let both = ["foo0", "foo1"];
        assert_eq!(found(None, text).unwrap(), both);
        assert_eq!(found(Some(""), text).unwrap(), both);
        assert_eq!(found(Some("ONLINE\n"), text).unwrap(), both);
        assert_eq!(
            found(Some("OFFLINE\n"), text).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn details_are_read_as_akri_reads_them() {
        assert_eq!(
            found(None, "descriptions:\n  - \"foo1\"\n").unwrap(),
            ["foo1"]
        );
        assert_eq!(
            found(None, "descriptions: []").unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(
            found(None, "{\"descriptions\":[\"a\"],\"other\":1}").unwrap(),
            ["a"]
        );
        assert!(found(None, "").is_err());
        assert!(found(None, "description: [foo0]").is_err());
    }

    #[test]
    fn a_device_carries_its_description_without_quotes() {
        let handler = DebugEcho::new(Path::new("/nosuch"));
        let query = handler.query("descriptions: [\"foo0\"]", &Properties::new());
        let devices = handler.devices(&query.unwrap()).unwrap();
        let properties = [("DEBUG_ECHO_DESCRIPTION".to_owned(), "foo0".to_owned())];
        assert_eq!(devices[0].properties, properties.into());
    }
}
