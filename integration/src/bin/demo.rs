//! `cargo xtask demo`: one pod with two wasm containers under the handler `coracle`, and what they wrote.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Result;
use coracle_integration::image::Form;
use coracle_integration::node::process;
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::{Image, Node};

/// Where the HTTP guest listens.
const PORT: u16 = 8080;

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    tokio::runtime::Runtime::new()?.block_on(demo())
}

async fn demo() -> Result<()> {
    let mut out = io::stdout();
    let node = Node::start().await?;
    writeln!(out, "containerd runs, process {}", node.containerd_pid()?)?;
    let pod = node
        .pod("demo")
        .runtime(CORACLE)
        .container(PodContainer::new("hello", &guest("hello")?))
        .container(PodContainer::new("server", &guest("http_p2")?))
        .start()
        .await?;
    let address = SocketAddr::new(pod.address().await?, PORT);
    writeln!(
        out,
        "pod {} runs under the handler `{CORACLE}`, address {address}",
        pod.id()
    )?;
    let hello = pod.ended("hello").await?;
    write!(out, "container hello wrote: {}", hello.stdout)?;
    write!(out, "{}", hello.stderr)?;
    writeln!(out, "container hello ended with code {}", hello.code)?;
    node.listens(address).await?;
    let answer = node.http_get(address, "/demo")?;
    writeln!(
        out,
        "container server answered {}: {}",
        answer.status, answer.body
    )?;
    pod.says("server", "handled /demo\n").await?;
    write!(out, "container server wrote: {}", pod.logs("server")?.0)?;
    pod.remove().await?;
    writeln!(out, "the pod is removed")?;
    Ok(())
}

fn guest(name: &str) -> Result<Image> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    Image::of_wasm(
        &format!("coracle.test/{name}:demo"),
        Form::File,
        &format!("{name}.wasm"),
        &wasm,
    )
}
