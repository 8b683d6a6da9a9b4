//! The memory of idle pods: a sandbox and one sleeping container, all processes.

use anyhow::{Context, Result};
use coracle_integration::pod::{CORACLE, PodContainer, RUNC};
use coracle_integration::{Image, Node, native, processes};

use futures::future::try_join_all;

use crate::guest;
use crate::table::{Figures, Report};

/// How many pods start at the same time.
const AT_ONCE: usize = 5;

/// Weighs `count` idle pods of each runtime.
pub(crate) async fn measure(node: &Node, count: usize) -> Result<()> {
    let sleep = guest("sleep")?;
    // The smallest native program that there is: one static binary that sleeps.
    let runc = weigh(node, count, RUNC, &native::pause()?, "").await?;
    let base = weigh(node, count, RUNWASI, &sleep, "ready\n").await?;
    let ours = weigh(node, count, CORACLE, &sleep, "ready\n").await?;
    let title = format!("Memory of an idle pod among {count}, all its processes");
    let mut report = Report::new(&title, "a pod");
    for (name, pods) in [
        ("runc, native sleep", &runc),
        ("runwasi host, wasm sleep", &base),
        ("coracle, wasm sleep", &ours),
    ] {
        for (what, figures) in [
            ("PSS KiB", &pods.pss),
            ("private KiB", &pods.private),
            ("processes", &pods.processes),
        ] {
            report.row(
                &format!("{name}: {what}"),
                &Figures::new(figures.clone()),
                0,
            );
        }
    }
    for (name, theirs) in [("runc", &runc), ("runwasi host", &base)] {
        let ratio = Figures::ratios(&ours.pss, &theirs.pss);
        report.row(&format!("coracle / {name}: PSS"), &ratio, 2);
    }
    report.print()
}

/// The handler of the base line in the node's configuration.
const RUNWASI: &str = "coracle-runwasi";

/// Each pod's figures, in the order of the pods.
#[derive(Default)]
struct Weights {
    pss: Vec<f64>,
    private: Vec<f64>,
    processes: Vec<f64>,
}

/// Weighs `count` pods that are up at the same time, each with a container that says `ready` and sleeps.
async fn weigh(
    node: &Node,
    count: usize,
    runtime: &str,
    image: &Image,
    ready: &str,
) -> Result<Weights> {
    let mut pods = Vec::new();
    while pods.len() < count {
        let some = AT_ONCE.min(count - pods.len());
        let starts = (0..some).map(|_| {
            let idle = PodContainer::new("idle", image);
            node.pod("idle").runtime(runtime).container(idle).start()
        });
        pods.extend(try_join_all(starts).await?);
    }
    for pod in &pods {
        if !ready.is_empty() {
            pod.says("idle", ready).await?;
        }
    }
    let mut weights = Weights::default();
    for pod in &pods {
        let all = pod.processes()?;
        let memory = processes::memory(all.iter().map(|process| process.pid))?;
        weights.pss.push(exactly(memory.pss)?);
        weights.private.push(exactly(memory.private)?);
        weights.processes.push(exactly(all.len().try_into()?)?);
    }
    for pod in pods {
        pod.remove().await?;
    }
    Ok(weights)
}

fn exactly(figure: u64) -> Result<f64> {
    let figure = u32::try_from(figure).context("more memory than a pod can have")?;
    Ok(figure.into())
}
