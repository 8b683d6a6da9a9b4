//! What a pod is told, and the volumes that it gets.

use anyhow::{Context, Result, ensure};
use coracle_integration::cluster::{Space, condition};
use coracle_integration::processes;
use serde_json::{Value, json};

use crate::{container, guest, on_cluster, pod, with};

/// Runs a pod with one container to its end, and answers with its log.
async fn log_of(space: &Space<'_>, name: &str, container: Value, spec: Value) -> Result<String> {
    let pod = with(pod(name, container), json!({ "spec": spec }));
    space.create(pod).await?;
    let ended = condition::that("has ended", |pod| {
        matches!(
            pod["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed")
        )
    });
    space.until("Pod", name, ended).await?;
    space.kubectl(&["logs", name]).await
}

#[tokio::test]
async fn the_environment_comes_from_a_config_map_a_secret_and_the_pod_itself() -> Result<()> {
    on_cluster("environment", async |cluster, space| {
        space
            .create(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ship" },
                "data": { "SHIP": "coracle" },
            }))
            .await?;
        space
            .create(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "cargo" },
                "stringData": { "word": "sesame" },
            }))
            .await?;
        let told = json!({
            "envFrom": [{ "configMapRef": { "name": "ship" } }],
            "env": [
                { "name": "WORD", "valueFrom": { "secretKeyRef": { "name": "cargo", "key": "word" } } },
                { "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "ADDRESS", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
                { "name": "LIMIT", "valueFrom": { "resourceFieldRef": { "resource": "limits.memory" } } },
            ],
            "resources": { "limits": { "memory": "64Mi" } },
        });
        let env = container(&guest(cluster, "env").await?, &[]);
        let log = log_of(&space, "env", with(env, told), json!({})).await?;
        for line in ["SHIP=coracle", "WORD=sesame", "NAME=env", "ADDRESS=10.88.", "LIMIT=67108864"] {
            assert!(log.lines().any(|found| found.starts_with(line)), "{line}: {log}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn arguments_may_refer_to_the_environment() -> Result<()> {
    on_cluster("arguments", async |cluster, space| {
        let args = container(&guest(cluster, "args").await?, &["$(WHERE)", "two words"]);
        let told = json!({ "env": [{ "name": "WHERE", "value": "there" }] });
        let log = log_of(&space, "args", with(args, told), json!({})).await?;
        assert_eq!(log, "/args.wasm\nthere\ntwo words\n");
        Ok(())
    })
    .await
}

/// One projected volume with everything that Kubernetes can put into files.
#[tokio::test]
async fn a_projected_volume_has_its_files() -> Result<()> {
    on_cluster("projected", async |cluster, space| {
        space
            .create(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ship" },
                "data": { "name": "coracle" },
            }))
            .await?;
        let volume = json!({ "name": "told", "projected": { "sources": [
            { "configMap": { "name": "ship" } },
            { "downwardAPI": { "items": [
                { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
            ] } },
            { "serviceAccountToken": { "path": "token", "expirationSeconds": 600 } },
        ] } });
        let list = container(&guest(cluster, "read_dir").await?, &["/told"]);
        let mount = json!({ "volumeMounts": [{ "name": "told", "mountPath": "/told" }] });
        let log = log_of(
            &space,
            "list",
            with(list, mount),
            json!({ "volumes": [volume] }),
        )
        .await?;
        let names: Vec<&str> = log.lines().filter(|name| !name.starts_with("..")).collect();
        assert_eq!(names, ["labels", "name", "token"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_pod_has_the_token_of_its_service_account() -> Result<()> {
    on_cluster("account", async |cluster, space| {
        let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
        let list = container(&guest(cluster, "read_dir").await?, &[folder]);
        let log = log_of(&space, "list", list, json!({})).await?;
        let names: Vec<&str> = log.lines().filter(|name| !name.starts_with("..")).collect();
        assert_eq!(names, ["ca.crt", "namespace", "token"]);
        Ok(())
    })
    .await
}

/// What one container writes, the next one of the pod lists.
#[tokio::test]
async fn containers_share_an_empty_dir() -> Result<()> {
    on_cluster("empty-dir", async |cluster, space| {
        let mount = json!({ "volumeMounts": [{ "name": "shared", "mountPath": "/shared" }] });
        let write = container(
            &guest(cluster, "write_file").await?,
            &["/shared/note", "text"],
        );
        let write = with(with(write, mount.clone()), json!({ "name": "write" }));
        let list = container(&guest(cluster, "read_dir").await?, &["/shared"]);
        let spec = json!({
            "initContainers": [write],
            "volumes": [{ "name": "shared", "emptyDir": {} }],
        });
        let log = log_of(&space, "list", with(list, mount), spec).await?;
        assert_eq!(log, "note\n");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_host_path_is_the_hosts() -> Result<()> {
    on_cluster("host-path", async |cluster, space| {
        let host = cluster.node().layout().folder().join(space.name());
        std::fs::create_dir(&host)?;
        let mount = json!({ "volumeMounts": [{ "name": "host", "mountPath": "/host" }] });
        let write = container(
            &guest(cluster, "write_file").await?,
            &["/host/note", "text"],
        );
        let spec = json!({ "volumes": [{ "name": "host", "hostPath": { "path": host } }] });
        log_of(&space, "write", with(write, mount), spec).await?;
        assert_eq!(std::fs::read_to_string(host.join("note"))?, "text");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_read_only_mount_refuses_writes() -> Result<()> {
    on_cluster("read-only", async |cluster, space| {
        let mount = json!({ "volumeMounts": [
            { "name": "shared", "mountPath": "/shared", "readOnly": true },
        ] });
        let write = container(
            &guest(cluster, "write_file").await?,
            &["/shared/note", "text"],
        );
        let spec = json!({ "volumes": [{ "name": "shared", "emptyDir": {} }] });
        let log = log_of(&space, "write", with(write, mount), spec).await?;
        assert!(log.starts_with("/shared/note: "), "{log}");
        let pod = space
            .until("Pod", "write", condition::phase("Failed"))
            .await?;
        assert!(condition::ended(1, "Error").holds(Some(&pod)), "{pod:#}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_claim_finds_its_volume() -> Result<()> {
    on_cluster("claim", async |cluster, space| {
        let class = space.name().to_owned();
        let host = cluster.node().layout().folder().join(&class);
        let all = cluster.all().await?;
        all.create(json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": class },
            "spec": {
                "capacity": { "storage": "1Mi" }, "accessModes": ["ReadWriteOnce"],
                "storageClassName": class,
                "hostPath": { "path": host, "type": "DirectoryOrCreate" },
            },
        }))
        .await?;
        space
            .create(json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "disk" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": class,
                    "resources": { "requests": { "storage": "1Mi" } },
                },
            }))
            .await?;
        let mount = json!({ "volumeMounts": [{ "name": "disk", "mountPath": "/disk" }] });
        let write = container(
            &guest(cluster, "write_file").await?,
            &["/disk/note", "text"],
        );
        let volume = json!({ "name": "disk", "persistentVolumeClaim": { "claimName": "disk" } });
        log_of(
            &space,
            "write",
            with(write, mount),
            json!({ "volumes": [volume] }),
        )
        .await?;
        assert_eq!(std::fs::read_to_string(host.join("note"))?, "text");
        Ok(())
    })
    .await
}

/// The pod's user may not write where only root may.
#[tokio::test]
async fn a_pod_runs_as_the_user_that_it_names() -> Result<()> {
    on_cluster("user", async |cluster, space| {
        let write = container(&guest(cluster, "write_file").await?, &["/note", "text"]);
        let user = json!({ "securityContext": { "runAsUser": 1000, "runAsNonRoot": true } });
        let log = log_of(&space, "write", with(write, user), json!({})).await?;
        ensure!(
            log.starts_with("/note: "),
            "the write is not refused: {log:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_drops_all_capabilities_has_none() -> Result<()> {
    on_cluster("capabilities", async |cluster, space| {
        let drops = json!({ "securityContext": { "capabilities": { "drop": ["ALL"] } } });
        let sleep = with(container(&guest(cluster, "sleep").await?, &[]), drops);
        space.create(pod("sleeper", sleep)).await?;
        let pod = space.until("Pod", "sleeper", condition::ready()).await?;
        let id = pod["status"]["containerStatuses"][0]["containerID"].as_str();
        let id = id.and_then(|id| id.strip_prefix("containerd://"));
        let id = id.context("a container has an id")?;
        let guest = processes::all()?
            .into_iter()
            .find(|process| process.cgroups.contains(id))
            .context("no process of the guest")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", guest.pid))?;
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .context("no capabilities in the status")?;
        assert_eq!(effective.trim(), "0000000000000000");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_native_container_has_its_environment() -> Result<()> {
    on_cluster("native-environment", async |cluster, space| {
        let shell = json!({
            "name": "main", "image": crate::busybox(cluster).await?, "imagePullPolicy": "Never",
            "command": ["/bin/sh", "-c", "echo ship=$SHIP"],
            "env": [{ "name": "SHIP", "value": "coracle" }],
        });
        let log = log_of(&space, "native", shell, json!({})).await?;
        ensure!(log == "ship=coracle\n", "it says {log:?}");
        Ok(())
    })
    .await
}
