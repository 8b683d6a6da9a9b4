//! The kinds of objects that tests use, and where the API has them.

use anyhow::{Context, Result, bail};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, core::TypeMeta};
use serde_json::Value;

/// Kinds that `get` and its like find by name alone.
const KINDS: [(&str, &str); 20] = [
    ("ConfigMap", "v1"),
    ("CronJob", "batch/v1"),
    ("DaemonSet", "apps/v1"),
    ("Deployment", "apps/v1"),
    ("EndpointSlice", "discovery.k8s.io/v1"),
    ("Event", "v1"),
    ("Job", "batch/v1"),
    ("Namespace", "v1"),
    ("Node", "v1"),
    ("PersistentVolume", "v1"),
    ("PersistentVolumeClaim", "v1"),
    ("Pod", "v1"),
    ("Role", "rbac.authorization.k8s.io/v1"),
    ("RoleBinding", "rbac.authorization.k8s.io/v1"),
    ("RuntimeClass", "node.k8s.io/v1"),
    ("Secret", "v1"),
    ("Service", "v1"),
    ("ServiceAccount", "v1"),
    ("StatefulSet", "apps/v1"),
    ("VolumeAttachment", "storage.k8s.io/v1"),
];

const WITHOUT_NAMESPACE: [&str; 4] = ["Namespace", "Node", "PersistentVolume", "RuntimeClass"];

/// Objects of `kind`, in `space` where they have a namespace.
pub(super) fn api(client: &Client, space: &str, kind: &str) -> Result<Api<DynamicObject>> {
    let Some((_, version)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        bail!("no kind {kind} in the list of those that tests use");
    };
    let types = TypeMeta {
        api_version: (*version).to_owned(),
        kind: kind.to_owned(),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    if WITHOUT_NAMESPACE.contains(&kind) {
        return Ok(Api::all_with(client.clone(), &resource));
    }
    Ok(Api::namespaced_with(client.clone(), space, &resource))
}

/// The kind that a manifest says, and its object.
pub(super) fn of_manifest(manifest: Value) -> Result<(String, DynamicObject)> {
    let kind = manifest["kind"].as_str().context("a manifest has a kind")?;
    let kind = kind.to_owned();
    Ok((kind, serde_json::from_value(manifest)?))
}
