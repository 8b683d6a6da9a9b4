//! How start time and memory of a pod change as a node fills, as a plot.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow};
use coracle_integration::pod::{CORACLE, PodContainer};
use coracle_integration::{Node, processes};
use plotters::prelude::{
    BLUE, ChartBuilder, IntoDrawingArea as _, LineSeries, RED, SVGBackend, WHITE,
};

use crate::guest;
use crate::table::{Figures, Report};

/// Pods between two looks at the memory of all.
const STEP: usize = 25;

/// Starts idle pods one after the other, and plots what each took.
pub(crate) async fn measure(node: &Node, most: usize, plot: &Path) -> Result<()> {
    let image = guest("sleep")?;
    let (mut pods, mut starts, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    while pods.len() < most {
        let begun = Instant::now();
        let idle = PodContainer::new("idle", &image);
        let pod = node
            .pod("idle")
            .runtime(CORACLE)
            .container(idle)
            .start()
            .await?;
        let count = f64::from(u32::try_from(pods.len() + 1)?);
        starts.push((count, begun.elapsed().as_secs_f64() * 1000.0));
        pods.push(pod);
        if pods.len() == 1 || pods.len().is_multiple_of(STEP) {
            let mut pids = Vec::new();
            for pod in &pods {
                pids.extend(pod.processes()?.into_iter().map(|process| process.pid));
            }
            let pss = processes::memory(pids)?.pss;
            weights.push((count, f64::from(u32::try_from(pss)?) / count));
        }
    }
    let quarter = starts.len() / 4;
    let times = |part: &[(f64, f64)]| Figures::new(part.iter().map(|(_, time)| *time).collect());
    let mut report = Report::new(
        &format!("A node that fills up to {most} idle pods"),
        "a pod",
    );
    report.row(
        "start of the first quarter, ms",
        &times(&starts[..quarter]),
        1,
    );
    report.row(
        "start of the last quarter, ms",
        &times(&starts[starts.len() - quarter..]),
        1,
    );
    report.row("PSS KiB at each look", &times(&weights), 0);
    report.print()?;
    draw(plot, &starts, &weights).map_err(|error| anyhow!("draw {}: {error}", plot.display()))?;
    for pod in pods {
        pod.remove().await?;
    }
    Ok(())
}

fn draw(
    path: &Path,
    starts: &[(f64, f64)],
    weights: &[(f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (900, 700)).into_drawing_area();
    area.fill(&WHITE)?;
    let (above, below) = area.split_vertically(350);
    for (area, points, title, colour) in [
        (
            above,
            starts,
            "time from the order to a running pod, ms",
            &BLUE,
        ),
        (below, weights, "PSS of one idle pod, KiB", &RED),
    ] {
        let pods = points.iter().map(|(pods, _)| *pods).fold(1.0, f64::max);
        let most = points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(30)
            .y_label_area_size(60)
            .build_cartesian_2d(1.0..pods, 0.0..most * 1.1)?;
        chart.configure_mesh().x_desc("pods on the node").draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), colour))?;
    }
    area.present()?;
    Ok(())
}
