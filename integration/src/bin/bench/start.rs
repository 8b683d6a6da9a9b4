//! From the start of a container to the end of its removal.

use std::time::Instant;

use anyhow::{Result, ensure};
use coracle_integration::task::Runtime;
use coracle_integration::{Image, Node, native};

use crate::guest;
use crate::table::{Figures, Report};

/// Runs hello under both runtimes in turn.
pub(crate) async fn measure(node: &Node, runs: u32) -> Result<()> {
    let (native, wasm) = (native::hello()?, guest("hello")?);
    let (mut runc, mut coracle) = (Vec::new(), Vec::new());
    // The first of each warms caches and is not counted.
    for run in 0..=runs {
        let theirs = time(node, &native, Runtime::Runc, "hello\n").await?;
        let ours = time(node, &wasm, Runtime::Coracle, "hello from rust\n").await?;
        if run > 0 {
            runc.push(theirs);
            coracle.push(ours);
        }
    }
    let title = format!("Create, start, wait and delete of hello, {runs} runs of each in turn");
    let mut report = Report::new(&title, "ms");
    report.row("runc, native hello", &Figures::new(runc.clone()), 1);
    report.row("coracle, wasm hello", &Figures::new(coracle.clone()), 1);
    report.row(
        "coracle / runc, pair by pair",
        &Figures::ratios(&coracle, &runc),
        2,
    );
    report.print()
}

/// One run in milliseconds.
async fn time(node: &Node, image: &Image, runtime: Runtime, expected: &str) -> Result<f64> {
    let start = Instant::now();
    let finished = node
        .container("bench")
        .image(image)
        .runtime(runtime)
        .run()
        .await?;
    let took = start.elapsed().as_secs_f64() * 1000.0;
    ensure!(
        finished.code == 0 && finished.stdout == expected,
        "hello said {finished:?}"
    );
    Ok(took)
}
