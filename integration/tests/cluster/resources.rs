//! What a pod may take, and what happens where it takes more.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coracle_integration::cgroup;
use coracle_integration::cluster::{Cluster, condition};
use serde_json::{Value, json};

use crate::{container, guest, on_cluster, pod, pod_spec, with};

/// The memory cgroups that belong to `pod`, its own first.
fn memory_cgroups(cluster: &Cluster, pod: &Value) -> Result<Vec<PathBuf>> {
    let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
    let own = format!("pod{uid}");
    let mut found = cgroup::below(&cluster.node().layout().cgroup_parent())?;
    found.retain(|path| path.to_string_lossy().contains(&own));
    found.retain(|path| limit(path).is_some());
    found.sort_by_key(|path| path.components().count());
    Ok(found)
}

/// The limit in bytes, under version 1 or 2.
fn limit(cgroup: &std::path::Path) -> Option<String> {
    ["memory.limit_in_bytes", "memory.max"]
        .iter()
        .find_map(|file| fs::read_to_string(cgroup.join(file)).ok())
        .map(|text| text.trim().to_owned())
}

#[tokio::test]
async fn a_limit_is_the_limit_of_the_pods_cgroup() -> Result<()> {
    on_cluster("limits", async |cluster, space| {
        let limits = json!({ "resources": { "limits": { "memory": "64Mi", "cpu": "500m" } } });
        let sleep = with(container(&guest(cluster, "sleep").await?, &[]), limits);
        space.create(pod("sleeper", sleep)).await?;
        let pod = space.until("Pod", "sleeper", condition::ready()).await?;
        assert_eq!(pod["status"]["qosClass"], "Guaranteed");
        let limits: Vec<_> = memory_cgroups(cluster, &pod)?
            .iter()
            .filter_map(|cgroup| limit(cgroup))
            .collect();
        let limit = "67108864";
        assert_eq!(
            limits.first().map(String::as_str),
            Some(limit),
            "the pod's own"
        );
        assert!(
            limits.iter().skip(1).any(|found| found == limit),
            "the container's: {limits:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_guest_that_takes_more_than_its_limit_is_oom_killed() -> Result<()> {
    on_cluster("oom", async |cluster, space| {
        let limits = json!({ "resources": { "limits": { "memory": "64Mi" } } });
        let grow = with(
            container(&guest(cluster, "memory_grow").await?, &["256"]),
            limits,
        );
        space.create(pod("grows", grow)).await?;
        let failed = space
            .until("Pod", "grows", condition::phase("Failed"))
            .await?;
        let end = &failed["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(end["exitCode"], 137, "{end:#}");
        assert_eq!(end["reason"], "OOMKilled", "{end:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_fills_its_volume_is_evicted() -> Result<()> {
    on_cluster("eviction", async |cluster, space| {
        let writes = container(&guest(cluster, "sleep").await?, &[]);
        let mount = json!({ "volumeMounts": [{ "name": "small", "mountPath": "/small" }] });
        let spec = json!({
            "volumes": [{ "name": "small", "emptyDir": { "sizeLimit": "1Mi" } }],
        });
        let pod = with(pod("greedy", with(writes, mount)), json!({ "spec": spec }));
        let created = space.create(pod).await?;
        space.until("Pod", "greedy", condition::ready()).await?;
        let uid = created["metadata"]["uid"]
            .as_str()
            .context("a pod has a uid")?;
        let volume = format!("pods/{uid}/volumes/kubernetes.io~empty-dir/small/much");
        // The guest sleeps; somebody else writes, who cannot be hindered.
        fs::write(
            cluster.node().layout().kubelet().join(volume),
            vec![0; 4 << 20],
        )?;
        let evicted = condition::has("/status/reason", "Evicted");
        // The kubelet looks every ten seconds, and measures volumes once a minute.
        space
            .within(Duration::from_secs(120), "Pod", "greedy", evicted)
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_running_pod_is_resized_in_place() -> Result<()> {
    on_cluster("resize", async |cluster, space| {
        let limits = |memory: &str| json!({ "resources": { "limits": { "memory": memory } } });
        let sleep = with(
            container(&guest(cluster, "sleep").await?, &[]),
            limits("64Mi"),
        );
        space.create(pod("sleeper", sleep)).await?;
        space.until("Pod", "sleeper", condition::ready()).await?;
        let more = with(json!({ "name": "main" }), limits("128Mi"));
        let more = with(
            more,
            json!({ "resources": { "requests": { "memory": "128Mi" } } }),
        );
        let change = json!({ "spec": { "containers": [more] } });
        space
            .patch("Pod", "sleeper", Some("resize"), change)
            .await?;
        let resized = condition::has(
            "/status/containerStatuses/0/resources/limits/memory",
            "128Mi",
        );
        let deadline = Duration::from_secs(15);
        let pod = space.within(deadline, "Pod", "sleeper", resized).await?;
        let limits: Vec<_> = memory_cgroups(cluster, &pod)?
            .iter()
            .filter_map(|cgroup| limit(cgroup))
            .collect();
        ensure!(
            limits.iter().filter(|limit| *limit == "134217728").count() >= 2,
            "{limits:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_runtime_class_adds_its_overhead_and_chooses_its_nodes() -> Result<()> {
    on_cluster("overhead", async |cluster, space| {
        let class = space.name().to_owned();
        let all = cluster.all().await?;
        let selector = json!({ class.clone(): "yes" });
        all.create(json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": class },
            "handler": "coracle",
            "overhead": { "podFixed": { "memory": "16Mi" } },
            "scheduling": { "nodeSelector": selector },
        }))
        .await?;
        let limits = json!({ "resources": { "limits": { "memory": "64Mi" } } });
        let sleep = with(container(&guest(cluster, "sleep").await?, &[]), limits);
        let mut pod = pod("sleeper", sleep);
        pod["spec"]["runtimeClassName"] = json!(class);
        space.create(pod).await?;
        let unschedulable = condition::that("has no node", |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        });
        space.until("Pod", "sleeper", unschedulable).await?;
        let label = json!({ "metadata": { "labels": selector } });
        all.patch("Node", "node0", None, label).await?;
        let pod = space.until("Pod", "sleeper", condition::ready()).await?;
        assert_eq!(pod["spec"]["overhead"]["memory"], "16Mi");
        let own = memory_cgroups(cluster, &pod)?;
        let own = own.first().and_then(|cgroup| limit(cgroup));
        assert_eq!(own.as_deref(), Some("83886080"), "80 MiB for the pod");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_asks_for_more_than_the_node_has_waits() -> Result<()> {
    on_cluster("too-much", async |cluster, space| {
        let sleep = container(&guest(cluster, "sleep").await?, &[]);
        let requests = json!({ "resources": { "requests": { "memory": "100Ti" } } });
        let spec = pod_spec(with(sleep, requests));
        space
            .create(json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "huge" }, "spec": spec,
            }))
            .await?;
        let why = condition::that("has too little memory", |pod| {
            let why = pod["status"]["conditions"][0]["message"].as_str();
            why.is_some_and(|why| why.contains("Insufficient memory"))
        });
        space.until("Pod", "huge", why).await?;
        Ok(())
    })
    .await
}
