//! Pods by CRI under the handler `coracle`.

use std::time::Duration;

use anyhow::Result;
use coracle_integration::image::{Form, Target};
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::{Node, native};
use futures::future::try_join_all;

use crate::{image, in_form};

#[tokio::test]
async fn a_wasm_and_a_native_container_share_a_pod() -> Result<()> {
    let node = Node::shared().await?;
    let native = PodContainer::new("native", &native::busybox()?).command([
        "sh",
        "-c",
        "echo hello from a shell; exit 5",
    ]);
    let pod = node
        .pod("mixed")
        .runtime(CORACLE)
        .container(PodContainer::new("wasm", &image("hello")?))
        .container(native)
        .start()
        .await?;
    let wasm = pod.ended("wasm").await?;
    assert_eq!(wasm.stdout, "hello from rust\n", "{}", wasm.stderr);
    assert_eq!((wasm.code, wasm.reason.as_str()), (0, "Completed"));
    let native = pod.ended("native").await?;
    assert_eq!(native.stdout, "hello from a shell\n", "{}", native.stderr);
    assert_eq!((native.code, native.reason.as_str()), (5, "Error"));
    assert!(pod.is_ready().await?);
    pod.remove().await
}

#[tokio::test]
async fn a_native_container_has_the_environment_of_its_spec() -> Result<()> {
    let node = Node::shared().await?;
    let native = PodContainer::new("native", &native::busybox()?)
        .command(["sh", "-c", "env | sort"])
        .env("SHIP", "coracle");
    let pod = node
        .pod("environment")
        .runtime(CORACLE)
        .container(native)
        .start()
        .await?;
    let ended = pod.ended("native").await?;
    let text = ended.stdout.text();
    // The shell adds PWD and SHLVL, CRI the name of the pod, and every runtime the home directory.
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(
        names,
        ["HOME", "HOSTNAME", "PATH", "PWD", "SHIP", "SHLVL"],
        "{}",
        ended.stderr
    );
    assert!(text.contains("SHIP=coracle\n"), "{text}");
    pod.remove().await
}

#[tokio::test]
async fn fifty_pods_at_once_leave_nothing_when_they_are_removed() -> Result<()> {
    const PODS: usize = 50;
    let node = Node::start().await?;
    let (hello, sleep) = (image("hello")?, image("sleep")?);
    node.push(&hello).await?;
    node.push(&sleep).await?;
    let pods = try_join_all((0..PODS).map(|_| {
        node.pod("one-of-fifty")
            .runtime(CORACLE)
            .deadline(Duration::from_secs(180))
            .container(PodContainer::new("hello", &hello))
            .container(PodContainer::new("sleep", &sleep))
            .start()
    }))
    .await?;
    for pod in &pods {
        pod.says("sleep", "ready\n").await?;
        let hello = pod.ended("hello").await?;
        assert_eq!(hello.stdout, "hello from rust\n", "{}", hello.stderr);
        assert_eq!(hello.code, 0);
    }
    assert_eq!(
        node.leftovers().await?.tasks.len(),
        2 * PODS,
        "sandboxes and sleepers: CRI takes the task of a container that has ended"
    );
    try_join_all(pods.into_iter().map(|pod| pod.remove())).await?;
    node.nothing_is_left(Duration::from_secs(60)).await
}

/// containerd 1.6 finds nothing to unpack in an artifact, and no command: the pod has to give one.
#[tokio::test]
async fn an_artifact_runs_in_a_pod_that_names_a_command() -> Result<()> {
    let node = Node::shared().await?;
    let image = in_form(Form::Artifact(Target::Wasip1), "args")?;
    let container = PodContainer::new("wasm", &image)
        .command(["/args.wasm"])
        .args(["one"]);
    let pod = node
        .pod("artifact")
        .runtime(CORACLE)
        .container(container)
        .start()
        .await?;
    let ended = pod.ended("wasm").await?;
    assert_eq!(ended.stdout, "/args.wasm\none\n", "{}", ended.stderr);
    assert_eq!(ended.code, 0);
    pod.remove().await
}
