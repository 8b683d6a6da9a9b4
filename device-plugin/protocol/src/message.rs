//! The messages: what stands in the files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::base64;
use crate::files::Files;
use crate::{ProtocolError, VERSION};

/// Any bytes; base64 in a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bytes(pub Vec<u8>);

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        base64::encode(&bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        base64::decode(&text).map(Self).ok_or("no base64")
    }
}

/// Named values that the Agent resolved; a name may be there without a value.
pub type Properties = BTreeMap<String, Option<Bytes>>;

/// What the Agent asks for. It never changes: other details are another request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Tells this asking from an earlier one with the same name: an answer counts only if it repeats it.
    pub generation: u64,
    /// The details of the Configuration, as they are.
    pub details: String,
    /// The discovery properties of the Configuration, as they are.
    #[serde(default)]
    pub properties: Properties,
}

/// What the handler found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The generation of the request that this answers.
    pub generation: u64,
    /// Greater in every answer than in the one that it replaced.
    pub serial: u64,
    /// What was found, or why nothing could be.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The content of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// All devices that are there now.
    Devices(Vec<Device>),
    /// The details or properties are wrong, and will be until somebody changes them: the reason.
    Invalid(String),
    /// The handler cannot look at present: the reason. It goes on trying.
    Failed(String),
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// What tells it from all other devices of the handler.
    pub id: String,
    /// What a broker gets as environment variables.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// What is mounted into a broker.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Device nodes that a broker gets.
    #[serde(default)]
    pub device_specs: Vec<DeviceSpec>,
}

/// A mount that a device brings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where it is in the broker.
    pub container_path: String,
    /// Where it is on the node.
    pub host_path: String,
    /// Whether the broker may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// A device node that a device brings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// Where it is in the broker.
    pub container_path: String,
    /// Where it is on the node.
    pub host_path: String,
    /// Of `r`, `w` and `m`, which is mknod.
    pub permissions: String,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Differs between any two starts of a side.
    pub start: String,
    /// Greater in every beat of one start.
    pub count: u64,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    message: T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

/// The bytes of a message.
pub(crate) fn encode<T: Serialize>(path: &Path, message: &T) -> Result<Vec<u8>, ProtocolError> {
    let versioned = Versioned {
        version: VERSION,
        message,
    };
    serde_json::to_vec(&versioned).map_err(malformed(path))
}

/// The message at `path`; `None` where there is no file, or an empty one, which is what a loss of power leaves.
pub(crate) fn read<T: DeserializeOwned>(
    files: &impl Files,
    path: &Path,
) -> Result<Option<T>, ProtocolError> {
    let bytes = match files.read(path) {
        Ok(bytes) if bytes.is_empty() => return Ok(None),
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ProtocolError::at(path)(error)),
    };
    let VersionOnly { version } = serde_json::from_slice(&bytes).map_err(malformed(path))?;
    if version != VERSION {
        let path = path.to_owned();
        return Err(ProtocolError::Version {
            path,
            found: version,
        });
    }
    let Versioned { message, .. } = serde_json::from_slice(&bytes).map_err(malformed(path))?;
    Ok(Some(message))
}

fn malformed(path: &Path) -> impl FnOnce(serde_json::Error) -> ProtocolError {
    move |source| ProtocolError::Malformed {
        path: path.to_owned(),
        source,
    }
}
