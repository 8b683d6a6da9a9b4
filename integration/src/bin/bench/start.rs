//! From the order to create a container to the end of its removal.

use anyhow::Result;
use coracle_integration::Node;

use crate::contender::Contender;
use crate::modules;
use crate::table::{Figures, Report};

/// Runs hello under all runtimes in turn; the first is the floor, the last but those added is this shim.
pub(crate) async fn measure(node: &Node, runs: u32, also: &[String]) -> Result<()> {
    let contenders = Contender::all(also)?;
    let times = turns(node, &contenders, runs).await?;
    let title = format!("Create, start, wait and delete of hello, {runs} runs of each in turn");
    let mut report = Report::new(&title, "ms");
    for (contender, times) in contenders.iter().zip(&times) {
        report.row(&contender.name, &Figures::new(times.clone()), 1);
    }
    if let [floor, runc, base, ours, ..] = times.as_slice() {
        let above = |times: &[f64]| -> Vec<f64> {
            times
                .iter()
                .zip(floor)
                .map(|(time, floor)| time - floor)
                .collect()
        };
        let (runc, base, ours) = (above(runc), above(base), above(ours));
        let median = |values: &[f64]| Figures::new(values.to_vec()).median();
        report.row(
            "coracle, above the null shim",
            &Figures::new(ours.clone()),
            1,
        );
        report.ratio(
            "coracle / runc, above the null shim, of medians",
            median(&ours) / median(&runc),
        );
        report.ratio(
            "coracle / runwasi host, likewise",
            median(&ours) / median(&base),
        );
    }
    report.print()
}

/// Runs small and large modules from the cache in turn.
pub(crate) async fn modules(node: &Node, runs: u32) -> Result<()> {
    let all = Contender::all(&[])?;
    let Some(ours) = all.iter().find(|contender| contender.name == "coracle") else {
        return Ok(());
    };
    let mut contenders = vec![ours.with("hello", crate::guest("hello")?, "hello from rust\n")];
    for mebibytes in [5, 30] {
        let image = modules::image(mebibytes)?;
        contenders.push(ours.with(&format!("a module of {mebibytes} MiB"), image, ""));
    }
    let times = turns(node, &contenders, runs).await?;
    let mut report = Report::new(
        &format!("Modules from the cache, {runs} runs of each in turn"),
        "ms",
    );
    for (contender, times) in contenders.iter().zip(&times) {
        report.row(&contender.name, &Figures::new(times.clone()), 1);
    }
    if let [hello, large @ ..] = times.as_slice() {
        for (contender, times) in contenders.iter().skip(1).zip(large) {
            let name = format!("{} / hello", contender.name);
            report.row(&name, &Figures::ratios(times, hello), 2);
        }
    }
    report.print()
}

/// The first turn warms caches and is not counted.
async fn turns(node: &Node, contenders: &[Contender], runs: u32) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::new(); contenders.len()];
    for run in 0..=runs {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let took = contender.run(node).await?;
            if run > 0 {
                times.push(took);
            }
        }
    }
    Ok(times)
}
