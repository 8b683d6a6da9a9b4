//! What makes pods: deployments, jobs, and their like.

use std::time::Duration;

use anyhow::Result;
use coracle_integration::cluster::condition;
use serde_json::json;

use crate::{container, guest, on_cluster, pod, pod_spec, template, with};

#[tokio::test]
async fn a_pod_runs_to_its_end_and_its_log_is_kept() -> Result<()> {
    on_cluster("pod", async |cluster, space| {
        let hello = guest(cluster, "hello").await?;
        space.create(pod("hello", container(&hello, &[]))).await?;
        space
            .until("Pod", "hello", condition::phase("Succeeded"))
            .await?;
        let log = space.kubectl(&["logs", "hello"]).await?;
        assert_eq!(log, "hello from rust\n");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deployment_scales_and_rolls_over() -> Result<()> {
    on_cluster("deployment", async |cluster, space| {
        let sleep = guest(cluster, "sleep").await?;
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": template("web", container(&sleep, &[])),
            },
        });
        space.create(deployment).await?;
        let available = |number| condition::at_least("/status/availableReplicas", number);
        space.until("Deployment", "web", available(2)).await?;
        let three = json!({ "spec": { "replicas": 3 } });
        space.patch("Deployment", "web", None, three).await?;
        space.until("Deployment", "web", available(3)).await?;
        let annotated = json!({ "spec": { "template": {
            "metadata": { "annotations": { "generation": "second" } },
        } } });
        space.patch("Deployment", "web", None, annotated).await?;
        space
            .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])
            .await?;
        let new = condition::has("/metadata/annotations/generation", "second");
        space
            .until_all(Duration::from_secs(60), "Pod", "app=web", 3, new)
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_job_counts_its_completions() -> Result<()> {
    on_cluster("job", async |cluster, space| {
        let hello = guest(cluster, "hello").await?;
        let spec = with(
            pod_spec(container(&hello, &[])),
            json!({ "restartPolicy": "Never" }),
        );
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "work" },
            "spec": { "completions": 3, "parallelism": 2, "template": { "spec": spec } },
        });
        space.create(job).await?;
        let done = space
            .until("Job", "work", condition::status("Complete"))
            .await?;
        assert_eq!(done["status"]["succeeded"], 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_job_gives_up_on_a_guest_that_fails() -> Result<()> {
    on_cluster("failing-job", async |cluster, space| {
        let fails = container(&guest(cluster, "exit_code").await?, &["3"]);
        let spec = with(pod_spec(fails), json!({ "restartPolicy": "Never" }));
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "work" },
            "spec": { "backoffLimit": 0, "template": { "spec": spec } },
        });
        space.create(job).await?;
        let failed = space
            .until("Job", "work", condition::status("Failed"))
            .await?;
        assert_eq!(failed["status"]["failed"], 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cron_job_makes_jobs() -> Result<()> {
    on_cluster("cron", async |cluster, space| {
        let hello = guest(cluster, "hello").await?;
        let spec = with(
            pod_spec(container(&hello, &[])),
            json!({ "restartPolicy": "Never" }),
        );
        let cron = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "clock" },
            "spec": {
                "schedule": "* * * * *",
                "jobTemplate": { "spec": { "template": { "spec": spec } } },
            },
        });
        space.create(cron).await?;
        // The next full minute may be a minute away.
        let succeeded = condition::that("was successful", |cron| {
            cron["status"]["lastSuccessfulTime"].is_string()
        });
        space
            .within(Duration::from_secs(120), "CronJob", "clock", succeeded)
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_the_node() -> Result<()> {
    on_cluster("daemon", async |cluster, space| {
        let sleep = guest(cluster, "sleep").await?;
        let set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent" },
            "spec": {
                "selector": { "matchLabels": { "app": "agent" } },
                "template": template("agent", container(&sleep, &[])),
            },
        });
        space.create(set).await?;
        let available = condition::at_least("/status/numberAvailable", 1);
        space.until("DaemonSet", "agent", available).await?;
        Ok(())
    })
    .await
}

/// The pod with the number 0 writes on the volume; the one that replaces it finds what was written.
#[tokio::test]
async fn a_stateful_set_keeps_its_volume() -> Result<()> {
    on_cluster("stateful", async |cluster, space| {
        let write = guest(cluster, "write_file").await?;
        let (read, sleep) = (guest(cluster, "read_dir").await?, guest(cluster, "sleep").await?);
        let class = space.name().to_owned();
        let host = cluster.node().layout().folder().join("volumes").join(&class);
        cluster
            .all()
            .await?
            .create(json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": class },
                "spec": {
                    "capacity": { "storage": "1Mi" }, "accessModes": ["ReadWriteOnce"],
                    "storageClassName": class,
                    "hostPath": { "path": host, "type": "DirectoryOrCreate" },
                },
            }))
            .await?;
        let mounts = json!({ "volumeMounts": [{ "name": "data", "mountPath": "/data" }] });
        let mut spec = pod_spec(with(container(&sleep, &[]), mounts.clone()));
        // The name that the pod has in the set, so that each life of it writes the same file.
        let name = json!([{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.uid" } } }]);
        spec["initContainers"] = json!([
            with(
                container(&write, &["/data/$(POD)", "here"]),
                with(mounts.clone(), json!({ "name": "write", "env": name })),
            ),
            with(container(&read, &["/data"]), with(mounts, json!({ "name": "read" }))),
        ]);
        space
            .create(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db" },
                "spec": {
                    "serviceName": "db",
                    "selector": { "matchLabels": { "app": "db" } },
                    "template": { "metadata": { "labels": { "app": "db" } }, "spec": spec },
                    "volumeClaimTemplates": [{
                        "metadata": { "name": "data" },
                        "spec": {
                            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                            "resources": { "requests": { "storage": "1Mi" } },
                        },
                    }],
                },
            }))
            .await?;
        let first = space.until("Pod", "db-0", condition::ready()).await?;
        let first = first["metadata"]["uid"].as_str().unwrap().to_owned();
        space.delete("Pod", "db-0").await?;
        let other = first.clone();
        let replaced = condition::that("is another, and ready", move |pod| {
            pod["metadata"]["uid"] != other.as_str() && condition::ready().holds(Some(pod))
        });
        let second = space.until("Pod", "db-0", replaced).await?;
        let listed = space.kubectl(&["logs", "db-0", "--container=read"]).await?;
        assert!(listed.contains(&first), "{listed}");
        assert!(listed.contains(second["metadata"]["uid"].as_str().unwrap()), "{listed}");
        Ok(())
    })
    .await
}
