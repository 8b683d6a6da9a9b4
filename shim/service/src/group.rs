//! Which containers share a supervisor.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Annotations that name the pod of a container: containerd's CRI plugin, and its runc shim, which other
/// clients follow.
const POD: [&str; 2] = [
    "io.kubernetes.cri.sandbox-id",
    "io.containerd.runc.v2.group",
];

/// Where containerd's shims have their sockets.
const SOCKETS: &str = "/run/containerd/s";

#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// The name of the pod that the container in `bundle` belongs to; its own where it belongs to none.
///
/// # Errors
/// When the bundle has no readable spec.
pub(crate) fn of(bundle: &Path, id: &str) -> Result<String> {
    let path = bundle.join("config.json");
    let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    let spec: Annotated = serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{} is no OCI runtime spec", path.display()))?;
    let pod = POD.iter().find_map(|name| spec.annotations.get(*name));
    Ok(pod.map_or(id, String::as_str).to_owned())
}

/// The socket of a pod's supervisor.
pub(crate) fn socket(containerd: &str, namespace: &str, pod: &str) -> PathBuf {
    let mut hasher = Sha256::new();
    for part in ["coracle", containerd, namespace, pod] {
        hasher.update(part);
        hasher.update([0]);
    }
    let name: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Path::new(SOCKETS).join(name)
}
