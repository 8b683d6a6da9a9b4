//! Containers a second through containerd, several at a time.

use std::time::Instant;

use anyhow::Result;
use coracle_integration::Node;
use futures::future::try_join_all;

use crate::contender::Contender;
use crate::table::{Figures, Report};

/// Containers that live at the same time.
const AT_ONCE: usize = 4;

/// Containers of one measurement.
const BATCH: usize = 40;

/// Measures batches of all runtimes in turn.
pub(crate) async fn measure(node: &Node, runs: u32, also: &[String]) -> Result<()> {
    let contenders = Contender::all(also)?;
    let mut rates = vec![Vec::new(); contenders.len()];
    for _ in 0..runs {
        for (contender, rates) in contenders.iter().zip(&mut rates) {
            let begun = Instant::now();
            try_join_all((0..AT_ONCE).map(|_| async {
                for _ in 0..BATCH / AT_ONCE {
                    contender.run(node).await?;
                }
                anyhow::Ok(())
            }))
            .await?;
            let containers = f64::from(u32::try_from(BATCH)?);
            rates.push(containers / begun.elapsed().as_secs_f64());
        }
    }
    let title = format!("Lives of hello a second, {AT_ONCE} at a time, {runs} batches of {BATCH}");
    let mut report = Report::new(&title, "a second");
    for (contender, rates) in contenders.iter().zip(&rates) {
        report.row(&contender.name, &Figures::new(rates.clone()), 1);
    }
    if let [_, runc, base, ours, ..] = rates.as_slice() {
        report.row("coracle / runc", &Figures::ratios(ours, runc), 2);
        report.row("coracle / runwasi host", &Figures::ratios(ours, base), 2);
    }
    report.print()
}
