//! Wasm pods that serve HTTP, and who finds them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use coracle_integration::cluster::{Cluster, Space, condition};
use serde_json::{Value, json};

use crate::{busybox, container, guest, on_cluster, pod, template, with};

/// A deployment `web` of wasm pods that serve HTTP, and a Service of the same name in front of them.
async fn web(cluster: &Cluster, space: &Space<'_>, replicas: u64) -> Result<Vec<Value>> {
    let told = json!({
        "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
    });
    let server = with(container(&guest(cluster, "http_p2").await?, &[]), told);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": template("web", server),
        },
    });
    space.create(deployment).await?;
    space
        .create(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": {
                "selector": { "app": "web" },
                "ports": [{ "port": 80, "targetPort": 8080 }],
            },
        }))
        .await?;
    let available = condition::at_least("/status/availableReplicas", replicas);
    space.until("Deployment", "web", available).await?;
    space.list("Pod", "app=web").await
}

/// A native pod asks by the Service's name until both wasm pods have answered.
#[tokio::test]
async fn a_service_finds_both_wasm_pods_by_its_dns_name() -> Result<()> {
    on_cluster("service", async |cluster, space| {
        let pods = web(cluster, &space, 2).await?;
        let url = format!("http://web.{}.svc.cluster.local/env/POD", space.name());
        let ask = format!(
            "for i in $(busybox seq 60); do busybox wget -qO- {url} && echo; done; echo end"
        );
        let shell = json!({
            "name": "main", "image": busybox(cluster).await?, "imagePullPolicy": "Never",
            "command": ["/bin/sh", "-c", ask],
        });
        let mut client = pod("client", shell);
        // The client is native, and need not be under the runtime that is tested.
        client["spec"]["runtimeClassName"] = Value::Null;
        space.create(client).await?;
        let log = space.says("client", "end\n").await?;
        for pod in pods {
            let name = pod["metadata"]["name"]
                .as_str()
                .context("a pod has a name")?;
            assert!(log.contains(name), "{name} never answered: {log}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_is_not_ready_gets_nothing() -> Result<()> {
    on_cluster("unready", async |cluster, space| {
        let unready = json!({
            "readinessProbe": { "httpGet": { "path": "/env/NOT_SET", "port": 8080 }, "periodSeconds": 1 },
        });
        let server = with(container(&guest(cluster, "http_p2").await?, &[]), unready);
        space
            .create(with(pod("web", server), json!({ "metadata": { "labels": { "app": "web" } } })))
            .await?;
        space
            .create(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
                "spec": { "selector": { "app": "web" }, "ports": [{ "port": 8080 }] },
            }))
            .await?;
        space.says("web", "handled /env/NOT_SET").await?;
        space.until("Pod", "web", condition::not_ready()).await?;
        let labels = "kubernetes.io/service-name=web";
        let known = condition::that("has an endpoint that is not ready", |slice| {
            slice["endpoints"][0]["conditions"]["ready"] == false
        });
        space
            .until_all(Duration::from_secs(30), "EndpointSlice", labels, 1, known)
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_port_forward_reaches_a_wasm_pod() -> Result<()> {
    on_cluster("forward", async |cluster, space| {
        web(cluster, &space, 1).await?;
        let forward = space.command(&["port-forward", "deployment/web", ":8080"]);
        let mut forward = tokio::process::Command::from(forward)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        let said = forward.stdout.take().context("no pipe from kubectl")?;
        let mut said = tokio::io::BufReader::new(said);
        tokio::io::AsyncBufReadExt::read_line(&mut said, &mut line).await?;
        let address = line
            .split(' ')
            .find_map(|word| word.parse::<SocketAddr>().ok())
            .with_context(|| format!("no address in {line:?}"))?;
        let url = format!("http://{address}/env/POD");
        let body = tokio::task::spawn_blocking(move || {
            anyhow::Ok(ureq::get(&url).call()?.body_mut().read_to_string()?)
        })
        .await??;
        ensure!(body.starts_with("web-"), "it answers {body:?}");
        Ok(())
    })
    .await
}
