//! `cargo xtask demo`: one pod with two wasm containers on a private containerd, and what they wrote.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coracle_integration::image::Form;
use coracle_integration::node::process;
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::{Image, Node};

/// How long the removal may take to be complete.
const GONE_BY: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    tokio::runtime::Runtime::new()?.block_on(demo())
}

async fn demo() -> Result<()> {
    let start = Instant::now();
    let node = Node::start().await?;
    say(&format!(
        "containerd is up, in namespaces of its own ({})",
        took(start)
    ))?;

    let start = Instant::now();
    let pod = node
        .pod("demo")
        .runtime(CORACLE)
        .container(PodContainer::new("hello", &guest("hello")?))
        .container(PodContainer::new("web", &guest("http_p2")?))
        .start()
        .await?;
    let address = SocketAddr::new(pod.address().await?, 8080);
    say(&format!(
        "a pod runs under runtime handler `{CORACLE}` at {} ({})",
        address.ip(),
        took(start)
    ))?;

    let hello = pod.ended("hello").await?;
    node.listens(address).await?;
    let answer = node.http_get(address, "/")?;
    pod.says("web", "handled /\n").await?;
    let (web, _) = pod.logs("web")?;
    say("")?;
    say(&format!(
        "  hello  wrote     {}",
        hello.stdout.text().trim_end()
    ))?;
    say(&format!("  hello  exited    with code {}", hello.code))?;
    say(&format!(
        "  web    answered  GET http://{address}/ with {}: {}",
        answer.status, answer.body
    ))?;
    say(&format!("  web    wrote     {}", web.text().trim_end()))?;
    say("")?;

    pod.remove().await?;
    node.nothing_is_left(GONE_BY).await?;
    say("the pod is removed, and nothing of it is left")
}

/// An image with a guest as a file in its root file system.
fn guest(name: &str) -> Result<Image> {
    let path = coracle_guests::built(name)?;
    let wasm = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    Image::of_wasm(
        &format!("localhost/{name}:demo"),
        Form::File,
        &format!("{name}.wasm"),
        &wasm,
    )
}

fn took(start: Instant) -> String {
    format!("{:.2} s", start.elapsed().as_secs_f64())
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
