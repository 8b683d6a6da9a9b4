//! `cargo xtask bench`: times and memory beside runc, as ratios measured in one run.
//!
//! The two runtimes take turns, so that a machine whose speed drifts slows both.

mod memory;
mod start;
mod table;

use anyhow::Result;
use clap::Parser;
use coracle_integration::image::Form;
use coracle_integration::node::process;
use coracle_integration::{Image, Node};

/// Measures this shim beside runc.
#[derive(Parser)]
struct Arguments {
    /// Measured starts of each runtime
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Numbers of idle pods to weigh
    #[arg(long, value_delimiter = ',', default_value = "10,50")]
    pods: Vec<usize>,
}

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    tokio::runtime::Runtime::new()?.block_on(bench(Arguments::parse()))
}

async fn bench(arguments: Arguments) -> Result<()> {
    let node = Node::start().await?;
    start::measure(&node, arguments.runs).await?;
    for pods in arguments.pods {
        memory::measure(&node, pods).await?;
    }
    Ok(())
}

/// An image with a guest as a file in its root file system.
fn guest(name: &str) -> Result<Image> {
    let wasm = std::fs::read(coracle_guests::built(name)?)?;
    Image::of_wasm(
        &format!("localhost/{name}:bench"),
        Form::File,
        &format!("{name}.wasm"),
        &wasm,
    )
}
