//! `cargo xtask bench`: times and memory beside runc, as ratios measured in one run.
//!
//! The runtimes take turns, so that a machine whose speed drifts slows all of them.

mod contender;
mod growth;
mod memory;
mod modules;
mod start;
mod table;
mod throughput;

use std::path::PathBuf;

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
    /// Another installed runtime to measure beside, by its full name (io.containerd.X.v1)
    #[arg(long)]
    also: Vec<String>,
    /// Idle pods to grow to, for the plot; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    grow: usize,
    /// Where the plot is written
    #[arg(long, default_value = "bench.svg")]
    plot: PathBuf,
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
    start::measure(&node, arguments.runs, &arguments.also).await?;
    start::modules(&node, arguments.runs).await?;
    throughput::measure(&node, arguments.runs.div_ceil(4), &arguments.also).await?;
    for pods in arguments.pods {
        memory::measure(&node, pods).await?;
    }
    if arguments.grow > 0 {
        growth::measure(&node, arguments.grow, &arguments.plot).await?;
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
