//! What `cargo xtask bench` measures: how long a container takes, and what idle pods weigh.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use crate::image::Image;
use crate::node::Node;
use crate::pod::PodContainer;
use crate::processes::{Memory, memory};
use crate::task::Runtime;

/// How many pods start at the same time.
const AT_ONCE: usize = 5;

/// Minimum, median and maximum of some durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The shortest.
    pub minimum: Duration,
    /// The middle one; of two, the later.
    pub median: Duration,
    /// The longest.
    pub maximum: Duration,
}

impl Spread {
    /// The spread of `durations`.
    ///
    /// # Errors
    /// When there are none.
    pub fn of(mut durations: Vec<Duration>) -> Result<Self> {
        durations.sort_unstable();
        let first = durations.first().context("nothing was measured")?;
        let last = durations.last().context("nothing was measured")?;
        let middle = durations
            .get(durations.len() / 2)
            .context("nothing was measured")?;
        Ok(Self {
            minimum: *first,
            median: *middle,
            maximum: *last,
        })
    }
}

/// What one idle pod takes, with all its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Memory, divided by the number of pods.
    pub memory: Memory,
    /// Processes of all pods together.
    pub processes: usize,
}

impl Node {
    /// How long one container of `image`, which has to say `expected`, takes from its creation to its removal.
    ///
    /// # Errors
    /// When it fails, or says something else.
    pub async fn time_of(
        &self,
        runtime: Runtime,
        image: &Image,
        expected: &str,
    ) -> Result<Duration> {
        let container = self.container("timed").image(image).runtime(runtime);
        let begin = Instant::now();
        let finished = container.run().await?;
        let took = begin.elapsed();
        ensure!(
            finished.stdout == expected,
            "{:?} instead of {expected:?}; {}",
            finished.stdout,
            finished.stderr
        );
        Ok(took)
    }

    /// What an idle pod weighs among `count` of them, each with one container of `image` that says `ready` and
    /// then does nothing.
    ///
    /// # Errors
    /// When a pod cannot be started or removed.
    pub async fn weight_of(
        &self,
        handler: &str,
        image: &Image,
        ready: &str,
        count: usize,
    ) -> Result<Weight> {
        let mut pods = Vec::new();
        while pods.len() < count {
            let some = AT_ONCE.min(count - pods.len());
            pods.extend(
                try_join_all((0..some).map(|_| {
                    let idle = PodContainer::new("idle", image);
                    self.pod("weighed").runtime(handler).container(idle).start()
                }))
                .await?,
            );
        }
        let mut pids = Vec::new();
        for pod in &pods {
            if !ready.is_empty() {
                pod.says("idle", ready).await?;
            }
            pids.extend(pod.processes()?.into_iter().map(|process| process.pid));
        }
        let processes = pids.len();
        let sum = memory(pids)?;
        for pod in pods {
            pod.remove().await?;
        }
        let pods = u64::try_from(count)?;
        let memory = Memory {
            pss: sum.pss / pods,
            private: sum.private / pods,
        };
        Ok(Weight { memory, processes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_of_what_was_measured() {
        let spread = Spread::of([3, 1, 9].map(Duration::from_millis).to_vec()).unwrap();
        let [minimum, median, maximum] = [1, 3, 9].map(Duration::from_millis);
        assert_eq!(
            spread,
            Spread {
                minimum,
                median,
                maximum
            }
        );
        assert!(Spread::of(Vec::new()).is_err());
    }
}
