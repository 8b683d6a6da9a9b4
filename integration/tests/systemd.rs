//! Nodes whose cgroups systemd makes, as on most real ones. For `cargo xtask vm`: it needs systemd and cgroup v2.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use coracle_integration::image::Form;
use coracle_integration::node::Driver;
use coracle_integration::pod::{CORACLE, PodContainer, RUNC};
use coracle_integration::task::{Runtime, Signal, Task};
use coracle_integration::{Image, Node, native, processes};

const SOON: Duration = Duration::from_secs(20);

/// The guest that says `ready` and sleeps.
fn sleeper() -> Result<Image> {
    let wasm = std::fs::read(coracle_guests::built("sleep")?)?;
    Image::of_wasm("coracle.test/sleep:1", Form::File, "sleep.wasm", &wasm)
}

/// Kills a container that runs, after a look at its cgroup, which has to be a scope in the node's slice.
async fn is_in_a_scope(node: &Node, task: Task<'_>) -> Result<()> {
    let found: Vec<String> = processes::in_namespace_of(node.first_process())?
        .into_iter()
        .map(|process| process.cgroups)
        .collect();
    let parent = node.layout().cgroup_parent();
    let expected = format!("0::{parent}/coracle-{}.scope\n", task.id());
    assert!(found.contains(&expected), "no {expected} in {found:#?}");
    task.kill(Signal::SIGKILL).await?;
    assert_eq!(task.finish().await?.code, 137);
    Ok(())
}

#[tokio::test]
#[ignore = "needs systemd and cgroup v2: cargo xtask vm"]
async fn a_native_container_gets_a_scope() -> Result<()> {
    let node = Node::start_with(Driver::Systemd).await?;
    let task = node
        .container("sleeper")
        .image(&native::busybox()?)
        .command(["sleep", "1000"])
        .start()
        .await?;
    is_in_a_scope(&node, task).await?;
    node.nothing_is_left(SOON).await
}

#[tokio::test]
#[ignore = "needs systemd and cgroup v2: cargo xtask vm"]
async fn a_wasm_container_gets_a_scope() -> Result<()> {
    let node = Node::start_with(Driver::Systemd).await?;
    let task = node
        .container("guest")
        .image(&sleeper()?)
        .runtime(Runtime::Coracle)
        .start()
        .await?;
    task.says("ready\n").await?;
    is_in_a_scope(&node, task).await?;
    node.nothing_is_left(SOON).await
}

#[tokio::test]
#[ignore = "needs systemd and cgroup v2: cargo xtask vm"]
async fn a_native_pod_gets_a_slice() -> Result<()> {
    let busybox = native::busybox()?;
    let script = ["sh", "-c", "echo ready; sleep 1000"];
    let sleeper = PodContainer::new("sleeper", &busybox).command(script);
    let scopes = scopes_of_a_pod(RUNC, sleeper).await?;
    assert_eq!(scopes.len(), 2, "sandbox and container: {scopes:?}");
    Ok(())
}

/// containerd 1.6 cannot say `SystemdCgroup` to the shim, which concludes it from the form of the path.
#[tokio::test]
#[ignore = "needs systemd and cgroup v2: cargo xtask vm"]
async fn a_wasm_pod_gets_a_slice() -> Result<()> {
    let sleeper = PodContainer::new("sleeper", &sleeper()?);
    let scopes = scopes_of_a_pod(CORACLE, sleeper).await?;
    assert_eq!(scopes.len(), 2, "sandbox and container: {scopes:?}");
    Ok(())
}

/// The scopes of a pod under `handler` with one container that says `ready`; nothing remains of them.
async fn scopes_of_a_pod(handler: &str, container: PodContainer) -> Result<BTreeSet<String>> {
    let node = Node::start_with(Driver::Systemd).await?;
    let pod = node
        .pod("sliced")
        .runtime(handler)
        .container(container)
        .start()
        .await?;
    pod.says("sleeper", "ready\n").await?;
    let scopes = pod
        .processes()?
        .into_iter()
        .map(|process| process.cgroups)
        .filter(|cgroup| cgroup.contains(".slice/cri-containerd-") && cgroup.ends_with(".scope\n"))
        .collect();
    pod.remove().await?;
    node.nothing_is_left(SOON).await?;
    Ok(scopes)
}
