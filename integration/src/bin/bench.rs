//! `cargo xtask bench`: this shim beside runc, in one run on one node.
//!
//! `bench --runs RUNS --pods NUMBER,NUMBER`.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use coracle_integration::image::Form;
use coracle_integration::measure::Spread;
use coracle_integration::node::process;
use coracle_integration::pod::{CORACLE, RUNC};
use coracle_integration::task::Runtime;
use coracle_integration::{Image, Node, native};

/// How much is measured.
struct Options {
    runs: usize,
    pods: Vec<usize>,
}

fn main() -> Result<()> {
    if let Some(ended) = process::requested() {
        return ended;
    }
    env_logger::init();
    let options = options(std::env::args().skip(1))?;
    tokio::runtime::Runtime::new()?.block_on(bench(&options))
}

async fn bench(options: &Options) -> Result<()> {
    let node = Node::start().await?;
    times(&node, options.runs).await?;
    weights(&node, &options.pods).await
}

/// The runtimes take turns, so that whatever else the machine does hits both.
async fn times(node: &Node, runs: usize) -> Result<()> {
    let (native, wasm) = (native::hello()?, guest("hello")?);
    let mut durations = [Vec::new(), Vec::new()];
    for run in 0..=runs {
        let runc = node.time_of(Runtime::Runc, &native, "hello\n").await?;
        let coracle = node
            .time_of(Runtime::Coracle, &wasm, "hello from rust\n")
            .await?;
        // The first turn pushes the images and warms the page cache.
        if run > 0 {
            durations[0].push(runc);
            durations[1].push(coracle);
        }
    }
    let [runc, coracle] = durations.map(Spread::of);
    let (runc, coracle) = (runc?, coracle?);
    let mut out = io::stdout();
    writeln!(
        out,
        "| hello, create to removed, {runs} runs | min ms | median ms | max ms | to runc |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for (name, spread) in [("runc, native", runc), ("coracle, wasm", coracle)] {
        let [minimum, median, maximum] =
            [spread.minimum, spread.median, spread.maximum].map(milliseconds);
        let ratio = spread.median.as_secs_f64() / runc.median.as_secs_f64();
        writeln!(
            out,
            "| {name} | {minimum:.1} | {median:.1} | {maximum:.1} | {ratio:.2} |"
        )?;
    }
    writeln!(out)?;
    Ok(())
}

async fn weights(node: &Node, pods: &[usize]) -> Result<()> {
    let (native, wasm) = (native::pause()?, guest("sleep")?);
    let mut out = io::stdout();
    writeln!(
        out,
        "| an idle pod, sandbox and one container | pods | processes | PSS KiB | private KiB |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for count in pods {
        for (name, handler, image, ready) in [
            ("runc, native", RUNC, &native, ""),
            ("coracle, wasm", CORACLE, &wasm, "ready\n"),
        ] {
            let weight = node.weight_of(handler, image, ready, *count).await?;
            let (memory, processes) = (weight.memory, weight.processes);
            writeln!(
                out,
                "| {name} | {count} | {processes} | {} | {} |",
                memory.pss, memory.private
            )?;
        }
    }
    Ok(())
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        runs: 20,
        pods: vec![10, 50],
    };
    while let Some(word) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{word} needs a value"))?;
        let number = |text: &str| {
            text.parse()
                .with_context(|| format!("{word} takes numbers, not {text:?}"))
        };
        match word.as_str() {
            "--runs" => options.runs = number(&value)?,
            "--pods" => options.pods = value.split(',').map(number).collect::<Result<_>>()?,
            _ => bail!("expected --runs RUNS or --pods NUMBER,NUMBER, not {word}"),
        }
    }
    Ok(options)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn guest(name: &str) -> Result<Image> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    Image::of_wasm(
        &format!("coracle.test/{name}:bench"),
        Form::File,
        &format!("{name}.wasm"),
        &wasm,
    )
}
