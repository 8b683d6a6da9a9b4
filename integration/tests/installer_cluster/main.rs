//! The chart `coracle` on a whole Kubernetes whose containerd does not know this runtime: what a user does with
//! helm, and what has to be true after each step.
//!
//! The node's root is this machine's, seen from namespaces of its own: so the chart is told where the node's
//! configuration and socket are, an empty folder lies over the one for programs, and nothing of the machine is
//! written.

mod bare;
mod release;

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use bare::Bare;
use release::Release;

#[tokio::test]
#[ignore = "minutes, and an image: `cargo xtask image`, then CORACLE_NODE_IMAGE=ARCHIVE cargo test --test installer_cluster -- --ignored"]
async fn helm_makes_a_node_run_wasm_pods_and_leaves_no_trace() -> Result<()> {
    let node = Bare::start().await?;
    let release = Release::new(&node.cluster);
    node.import(&node.first)?;
    let second = node.second()?;
    node.import(&second)?;

    release.helm(&node.install()).await?;
    node.is_installed(&node.first).await?;
    node.runs("hello").await?;
    let said = release.helm(&["test", "coracle", "--logs"]).await?;
    ensure!(said.contains("this node runs wasm pods"), "{said}");

    let sleeper = node.starts("sleep").await?;
    let upgrade = [
        "upgrade",
        "coracle",
        release::CHART,
        "--reuse-values",
        "--wait",
    ];
    release
        .helm(&[&upgrade[..], &["--set", "image.tag=second"]].concat())
        .await?;
    node.is_installed(&second).await?;
    ensure!(
        node.state_of("sleep").await? == sleeper,
        "the upgrade has touched a pod"
    );
    node.runs("hello").await?;

    release
        .helm(&["rollback", "coracle", "1", "--wait"])
        .await?;
    node.is_installed(&node.first).await?;
    ensure!(
        node.state_of("sleep").await? == sleeper,
        "the way back has touched a pod"
    );

    let refused = release.helm(&["uninstall", "coracle"]).await;
    let refused = format!(
        "{:#}",
        refused.err().context("uninstalled while a pod runs")?
    );
    ensure!(
        refused.contains("pods of this runtime run there"),
        "{refused}"
    );
    // Who has been refused has everything as before, and may stay.
    node.is_installed(&node.first).await?;
    release
        .helm(&["rollback", "coracle", "1", "--wait"])
        .await?;
    node.runs("hello").await?;
    ensure!(
        node.state_of("sleep").await? == sleeper,
        "the refusal has touched a pod"
    );
    node.ends("sleep").await?;
    release.helm(&["uninstall", "coracle", "--wait"]).await?;
    node.is_as_before().await
}

#[tokio::test]
#[ignore = "needs the image: as above"]
async fn only_the_daemon_set_needs_a_privileged_namespace() -> Result<()> {
    let node = Bare::start().await?;
    let release = Release::new(&node.cluster);
    let space = node.cluster.all().await?;
    for (level, refused) in [
        ("baseline", true),
        ("restricted", true),
        ("privileged", false),
    ] {
        let name = format!("level-{level}");
        space
            .create(json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": { "name": name, "labels": {
                    "pod-security.kubernetes.io/enforce": level,
                    "pod-security.kubernetes.io/enforce-version": "latest",
                } },
            }))
            .await?;
        space
            .kubectl(&[
                "wait",
                "--for=create",
                "--namespace",
                &name,
                "serviceaccount/default",
            ])
            .await?;
        for (kind, pod) in release.pods(&node.install()).await? {
            let file = node.file("pod.json");
            fs::write(&file, serde_json::to_vec(&pod)?)?;
            let file = file.to_string_lossy().into_owned();
            let create = [
                "create",
                "--dry-run=server",
                "--namespace",
                &name,
                "-f",
                &file,
            ];
            let admitted = space.kubectl(&create).await;
            match (kind.as_str(), admitted) {
                ("DaemonSet", Err(error)) if refused => {
                    let said = format!("{error:#}");
                    ensure!(
                        said.contains(&format!("violates PodSecurity \"{level}")),
                        "{said}"
                    );
                    ensure!(said.contains("hostPath"), "{said}");
                }
                (_, Ok(_)) if !refused || kind != "DaemonSet" => {}
                (_, other) => anyhow::bail!("{kind} under {level}: {other:?}"),
            }
        }
    }
    Ok(())
}
