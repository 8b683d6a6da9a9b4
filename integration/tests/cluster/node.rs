//! What happens to the node, and to the cluster: each of these tests has one of its own to hurt.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coracle_integration::cluster::{Cluster, NODE_NAME, condition, programs};
use coracle_integration::node::{Layout, sweep};
use coracle_integration::{cgroup, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::{container, guest, on_cluster, pod, template, with};

/// A cluster for this test alone; `None` where none can run.
async fn own() -> Result<Option<Cluster>> {
    match programs::missing() {
        None => Ok(Some(Cluster::start().await?)),
        // The tests on the shared cluster say why.
        Some(_) => Ok(None),
    }
}

/// A pod that serves HTTP and is ready.
async fn server(cluster: &Cluster) -> Result<Value> {
    let space = cluster.all().await?;
    let probe = json!({
        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
    });
    let server = with(container(&guest(cluster, "http_p2").await?, &[]), probe);
    let always = json!({ "spec": { "restartPolicy": "Always" } });
    space.create(with(pod("server", server), always)).await?;
    space.until("Pod", "server", condition::ready()).await
}

/// The process that answers in a pod, which must stay the same.
fn started(pod: &Value) -> (&Value, &Value) {
    let status = &pod["status"]["containerStatuses"][0];
    (&status["containerID"], &status["restartCount"])
}

#[tokio::test]
async fn pods_outlive_a_restart_of_the_kubelet_and_of_containerd() -> Result<()> {
    let Some(cluster) = own().await? else {
        return Ok(());
    };
    let space = cluster.all().await?;
    let before = server(&cluster).await?;
    cluster.restart("kubelet")?;
    let sleep = container(&guest(&cluster, "sleep").await?, &[]);
    space.create(pod("after-kubelet", sleep.clone())).await?;
    space
        .until("Pod", "after-kubelet", condition::ready())
        .await?;
    cluster.node().restart_containerd().await?;
    space.create(pod("after-containerd", sleep)).await?;
    space
        .until("Pod", "after-containerd", condition::ready())
        .await?;
    let after = space.until("Pod", "server", condition::ready()).await?;
    assert_eq!(started(&after), started(&before));
    let address = after["status"]["podIP"].as_str().context("no address")?;
    let answer = cluster
        .node()
        .http_get(format!("{address}:8080").parse()?, "/")?;
    assert_eq!(answer.body, "hello from http_p2");
    space.delete("Pod", "server").await?;
    space.until("Pod", "server", condition::gone()).await?;
    cluster.record_success().await
}

#[tokio::test]
async fn a_node_is_drained_and_used_again() -> Result<()> {
    let Some(cluster) = own().await? else {
        return Ok(());
    };
    let space = cluster.all().await?;
    let sleep = guest(&cluster, "sleep").await?;
    space
        .create(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": template("web", container(&sleep, &[])),
            },
        }))
        .await?;
    let available = |number| condition::at_least("/status/availableReplicas", number);
    space.until("Deployment", "web", available(2)).await?;
    space
        .kubectl(&["drain", NODE_NAME, "--timeout=60s"])
        .await?;
    let waiting = condition::phase("Pending");
    space
        .until_all(Duration::from_secs(30), "Pod", "app=web", 2, waiting)
        .await?;
    space.kubectl(&["uncordon", NODE_NAME]).await?;
    space.until("Deployment", "web", available(2)).await?;
    cluster.record_success().await
}

/// The second one starts while the first one runs, and the first one lives on when the second is gone.
#[tokio::test]
async fn two_clusters_do_not_disturb_each_other_and_leave_nothing() -> Result<()> {
    let (Some(one), Some(other)) = (own().await?, own().await?) else {
        return Ok(());
    };
    server(&one).await?;
    server(&other).await?;
    let gone = other.node().layout().clone();
    drop(other);
    assert_eq!(traces(&gone)?, Vec::<String>::new());
    let space = one.all().await?;
    space.until("Pod", "server", condition::ready()).await?;
    one.record_success().await?;
    let gone = one.node().layout().clone();
    let keeper = Pid::from_raw(i32::try_from(one.node().keeper())?);
    kill(keeper, Signal::SIGKILL)?;
    drop(space);
    drop(one);
    sweep()?;
    assert_eq!(traces(&gone)?, Vec::<String>::new());
    Ok(())
}

/// What can be seen of a cluster from outside: its folder, its cgroups, its processes.
fn traces(layout: &Layout) -> Result<Vec<String>> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for path in [layout.folder().to_owned(), layout.lock()] {
        if path.exists() {
            found.push(text(&path));
        }
    }
    for path in cgroup::below(&layout.cgroup_parent())? {
        found.push(text(&path));
    }
    let folder = text(layout.folder());
    for process in processes::all()? {
        if process.command.contains(&folder) || process.cgroups.contains(&layout.cgroup_parent()) {
            found.push(process.command);
        }
    }
    Ok(found)
}

#[tokio::test]
#[ignore = "slow: a hundred pods take a minute or two; `cargo xtask test --slow` runs it"]
async fn a_hundred_wasm_pods_run_on_the_node() -> Result<()> {
    on_cluster("hundred", async |cluster, space| {
        const PODS: u64 = 100;
        let sleep = guest(cluster, "sleep").await?;
        let begin = Instant::now();
        space
            .create(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "many" },
                "spec": {
                    "replicas": PODS,
                    "selector": { "matchLabels": { "app": "many" } },
                    "template": template("many", container(&sleep, &[])),
                },
            }))
            .await?;
        let all = condition::at_least("/status/availableReplicas", PODS);
        let deadline = Duration::from_secs(300);
        space.within(deadline, "Deployment", "many", all).await?;
        println!("{PODS} pods are ready after {:?}", begin.elapsed());
        space
            .kubectl(&[
                "delete",
                "deployment",
                "many",
                "--cascade=foreground",
                "--timeout=80s",
            ])
            .await?;
        Ok(())
    })
    .await
}
