//! Between the messages of Akri's proto and those of the file protocol.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest as _};
use coracle_akri_api::{ByteData, Device, DeviceSpec, DiscoverRequest, DiscoverResponse, Mount};
use coracle_akri_protocol::{self as protocol, Bytes, Properties};
use tonic::Status;

/// What a Configuration asks for. Equal questions have equal answers, so they share a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) details: String,
    pub(crate) properties: Properties,
}

impl From<DiscoverRequest> for Question {
    fn from(request: DiscoverRequest) -> Self {
        let properties = request.discovery_properties.into_iter();
        Self {
            details: request.discovery_details,
            properties: properties
                .map(|(name, ByteData { vec })| (name, vec.map(Bytes)))
                .collect(),
        }
    }
}

impl Question {
    /// The name of its request: 32 hexadecimal digits that no other question has.
    pub(crate) fn id(&self) -> String {
        let mut hash = Blake2b::<U16>::new();
        let mut field = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        field(self.details.as_bytes());
        for (name, value) in &self.properties {
            field(name.as_bytes());
            field(&[u8::from(value.is_some())]);
            field(value.as_ref().map_or(&[], |value| &value.0));
        }
        let mut id = String::new();
        for byte in hash.finalize() {
            // A string takes all that is written.
            let _infallible = write!(id, "{byte:02x}");
        }
        id
    }
}

/// What the Agent is sent for an outcome: the full list, or the status that ends the stream.
pub(crate) fn response(outcome: &protocol::Outcome) -> Result<DiscoverResponse, Status> {
    match outcome {
        protocol::Outcome::Devices(devices) => Ok(DiscoverResponse {
            devices: devices.iter().map(device).collect(),
        }),
        protocol::Outcome::Invalid(reason) => Err(Status::invalid_argument(reason)),
        protocol::Outcome::Failed(reason) => Err(Status::unavailable(reason)),
    }
}

fn device(device: &protocol::Device) -> Device {
    let mounts = device.mounts.iter().map(|mount| Mount {
        container_path: mount.container_path.clone(),
        host_path: mount.host_path.clone(),
        read_only: mount.read_only,
    });
    let specs = device.device_specs.iter().map(|spec| DeviceSpec {
        container_path: spec.container_path.clone(),
        host_path: spec.host_path.clone(),
        permissions: spec.permissions.clone(),
    });
    Device {
        id: device.id.clone(),
        properties: pairs(&device.properties),
        mounts: mounts.collect(),
        device_specs: specs.collect(),
    }
}

fn pairs(properties: &BTreeMap<String, String>) -> HashMap<String, String> {
    let pairs = properties.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(details: &str, properties: &[(&str, Option<&[u8]>)]) -> Question {
        let properties = properties.iter().map(|(name, value)| {
            let vec = value.map(<[u8]>::to_vec);
            ((*name).to_owned(), ByteData { vec })
        });
        Question::from(DiscoverRequest {
            discovery_details: details.to_owned(),
            discovery_properties: properties.collect(),
        })
    }

    #[test]
    fn questions_that_differ_have_names_that_differ() {
        let ids = [
            question("a", &[]),
            question("b", &[]),
            question("a", &[("b", None)]),
            question("a", &[("b", Some(b""))]),
            question("a", &[("b", Some(b"c"))]),
            question("a", &[("bc", Some(b""))]),
        ]
        .map(|question| question.id());
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(id.len(), 32);
            assert!(!ids[..place].contains(id), "{ids:?}");
        }
        let (one, other) = (("x", Some(&b"1"[..])), ("y", Some(&b"2"[..])));
        assert_eq!(
            question("a", &[one, other]).id(),
            question("a", &[other, one]).id()
        );
    }
}
