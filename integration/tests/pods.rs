//! Pods by CRI under runc.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use coracle_integration::pod::{PodContainer, RUNC};
use coracle_integration::{Node, native};

#[tokio::test]
async fn two_containers_of_a_pod_say_what_they_were_told() -> Result<()> {
    let node = Node::shared().await?;
    let busybox = native::busybox()?;
    let pod = node
        .pod("pair")
        .runtime(RUNC)
        .container(PodContainer::new("hello", &native::hello()?))
        .container(
            PodContainer::new("shell", &busybox)
                .command(["sh", "-c"])
                .args(["echo $WORD; echo no >&2; exit 3"])
                .env("WORD", "yes"),
        )
        .start()
        .await?;
    let hello = pod.ended("hello").await?;
    assert_eq!((hello.code, hello.reason.as_str()), (0, "Completed"));
    assert_eq!(hello.stdout, "hello\n");
    let shell = pod.ended("shell").await?;
    assert_eq!((shell.code, shell.reason.as_str()), (3, "Error"));
    assert_eq!(shell.stdout, "yes\n");
    assert_eq!(shell.stderr, "no\n");
    pod.remove().await
}

#[tokio::test]
async fn a_pod_answers_on_its_address() -> Result<()> {
    let node = Node::shared().await?;
    let pod = node
        .pod("web")
        .container(PodContainer::new("httpd", &native::busybox()?).command([
            "sh",
            "-c",
            "echo from the pod > /tmp/page; httpd -p 8080 -h /tmp; echo ready; sleep 1000",
        ]))
        .start()
        .await?;
    pod.says("httpd", "ready\n").await?;
    let address = SocketAddr::new(pod.address().await?, 8080);
    let answer = node.http_get(address, "/page")?;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "from the pod\n")
    );
    assert!(pod.is_ready().await?);
    pod.stop("httpd", Duration::ZERO).await?;
    assert_eq!(pod.ended("httpd").await?.code, 137);
    pod.remove().await
}
