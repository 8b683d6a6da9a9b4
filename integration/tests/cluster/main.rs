//! Wasm pods on a whole Kubernetes, with the shim that `CORACLE_SHIM_DIR` names.
//!
//! All tests share one cluster, and each has a namespace of its own. On a machine without Go they say so and
//! are skipped.

mod configuration;
mod containers;
mod interaction;
mod node;
mod resources;
mod services;
mod times;
mod workloads;

use std::fs;
use std::future::Future;
use std::io::Write;

use anyhow::Result;
use coracle_integration::cluster::{Cluster, Space, programs};
use coracle_integration::image::Form;
use coracle_integration::{Image, native};
use serde_json::{Value, json};

/// Runs `test` in a namespace of its own on the shared cluster, or says why no cluster can run here.
async fn on_cluster<F>(
    name: &str,
    test: impl FnOnce(&'static Cluster, Space<'static>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    if let Some(why) = programs::missing() {
        // Past the captured output of a test that passes.
        writeln!(std::io::stderr(), "skipped {name}: {why}")?;
        return Ok(());
    }
    let cluster = Cluster::shared().await?;
    let space = cluster.space(name).await?;
    test(cluster, space).await?;
    cluster.record_success().await
}

/// The name of an image with guest `name`, which the node has from now on.
async fn guest(cluster: &Cluster, name: &str) -> Result<String> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    let reference = format!("coracle.test/{name}:cluster");
    let image = Image::of_wasm(&reference, Form::File, &format!("{name}.wasm"), &wasm)?;
    cluster.node().pods().push(&image).await?;
    Ok(reference)
}

/// The name of an image with busybox, which the node has from now on.
async fn busybox(cluster: &Cluster) -> Result<String> {
    let image = native::busybox()?;
    cluster.node().pods().push(&image).await?;
    Ok(image.name)
}

/// A container `main` of `image` with these arguments.
fn container(image: &str, args: &[&str]) -> Value {
    json!({ "name": "main", "image": image, "imagePullPolicy": "Never", "args": args })
}

/// What a pod with this one container is, under the runtime class `coracle`.
fn pod_spec(container: Value) -> Value {
    let mut spec = json!({ "runtimeClassName": "coracle", "terminationGracePeriodSeconds": 5 });
    spec["containers"] = Value::Array(vec![container]);
    spec
}

/// A pod that is not started again.
fn pod(name: &str, container: Value) -> Value {
    let mut spec = pod_spec(container);
    spec["restartPolicy"] = json!("Never");
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec })
}

/// The template of a workload's pods, with the label `app`.
fn template(app: &str, container: Value) -> Value {
    json!({ "metadata": { "labels": { "app": app } }, "spec": pod_spec(container) })
}

/// `value` with what stands in `changes` added or replaced, folder by folder.
fn with(mut value: Value, changes: Value) -> Value {
    merge(&mut value, changes);
    value
}

fn merge(value: &mut Value, changes: Value) {
    match (value, changes) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key).or_insert(Value::Null), change);
            }
        }
        (value, changes) => *value = changes,
    }
}
