//! SIGKILL at every moment of a container's life: nothing is left, and the next container runs.
//!
//! The moments lie over the whole of create, start, stop and delete, some milliseconds apart, so that over
//! many rounds every step of the shim is met. A round in which nothing was there to be killed does not count.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use coracle_integration::image::Form;
use coracle_integration::processes::{self, Process};
use coracle_integration::task::{Runtime, Signal};
use coracle_integration::{Image, Node};
use nix::sys::signal::{Signal as Kill, kill};
use tokio::time::{Instant, sleep};

/// How long containerd may take to notice that a shim is gone, and to clean up after it.
const CLEANED: Duration = Duration::from_secs(30);

fn image(name: &str) -> Result<Image> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    let reference = format!("coracle.test/crash-{name}:file");
    Image::of_wasm(&reference, Form::File, &format!("{name}.wasm"), &wasm)
}

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// The supervisor: what containerd talks to.
    Supervisor,
    /// Everything that the supervisor has forked: makers, clerks, containers.
    Forked,
    /// The program that compiles.
    Compiler,
}

impl Victim {
    fn among(self, all: &[Process]) -> Vec<Process> {
        let is_shim = |process: &&Process| process.command.contains("supervise");
        let supervisors: Vec<_> = all
            .iter()
            .filter(is_shim)
            .filter(|process| {
                !all.iter()
                    .filter(is_shim)
                    .any(|other| other.pid == process.parent)
            })
            .cloned()
            .collect();
        match self {
            Self::Supervisor => supervisors,
            Self::Forked => all
                .iter()
                .filter(|process| supervisors.iter().any(|one| one.pid == process.parent))
                .cloned()
                .collect(),
            Self::Compiler => all
                .iter()
                .filter(|process| process.name.starts_with("coracle-compile"))
                .cloned()
                .collect(),
        }
    }

    /// Kills whoever is there, and answers how many that were.
    fn kill(self, node: &Node) -> Result<usize> {
        let victims = self.among(&processes::in_namespace_of(node.first_process())?);
        for victim in &victims {
            // One that has just ended by itself is as good.
            match kill(victim.pid, Kill::SIGKILL) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(victims.len())
    }
}

/// One life of a container, with a kill at some moment of it.
async fn life(node: &Node, image: &Image, victim: Victim, moment: Duration) -> Result<usize> {
    let begun = Instant::now();
    let killed = async {
        sleep(moment).await;
        victim.kill(node)
    };
    let lived = async {
        let container = node
            .container("crash")
            .image(image)
            .runtime(Runtime::Coracle);
        // Whatever is answered: the container may be gone at any step.
        let Ok(mut task) = container.deadline(CLEANED).start().await else {
            return Ok(());
        };
        drop(task.kill(Signal::SIGKILL).await);
        // Whoever removes may be the one who is killed; containerd's clients ask again then.
        let end = Instant::now() + CLEANED;
        while let Err(error) = task.remove().await {
            ensure!(Instant::now() < end, error);
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    let (killed, lived) = tokio::join!(killed, lived);
    lived.with_context(|| format!("{victim:?} killed after {moment:?}"))?;
    node.nothing_is_left(CLEANED).await.with_context(|| {
        format!(
            "{victim:?} killed after {moment:?}, {:?} ago",
            begun.elapsed()
        )
    })?;
    killed
}

/// Lives with a kill each, at moments over their whole length; answers in how many of them somebody was killed.
async fn lives(node: &Node, image: &Image, victim: Victim) -> Result<usize> {
    let mut hits = 0;
    for moment in moments(node, image).await? {
        let killed = life(node, image, victim, moment).await?;
        hits += usize::from(killed > 0);
    }
    let hello = self::image("hello")?;
    let next = node
        .container("next")
        .image(&hello)
        .runtime(Runtime::Coracle);
    let next = next
        .run()
        .await
        .context("the container after the crashes")?;
    ensure!(next.code == 0, "the next container: {next:?}");
    Ok(hits)
}

/// How many moments of a life are tried.
const MOMENTS: u32 = 30;

/// Moments over the whole life of a container, which is measured first: machines differ.
async fn moments(node: &Node, image: &Image) -> Result<Vec<Duration>> {
    let mut whole = Duration::ZERO;
    // The first one compiles.
    for _ in 0..3 {
        let begun = Instant::now();
        let container = node.container("measured").image(image);
        let mut task = container.runtime(Runtime::Coracle).start().await?;
        task.remove().await?;
        whole = begun.elapsed();
    }
    Ok((0..MOMENTS)
        .map(|moment| whole * moment / MOMENTS)
        .collect())
}

#[tokio::test]
#[ignore = "kills at many moments, and is alone: `cargo xtask test --slow` runs it"]
async fn a_killed_supervisor_leaves_nothing() -> Result<()> {
    let node = Node::start().await?;
    let hits = lives(&node, &image("sleep")?, Victim::Supervisor).await?;
    ensure!(hits >= 8, "only {hits} of {MOMENTS} kills met a supervisor");
    node.nothing_is_left(CLEANED).await
}

#[tokio::test]
#[ignore = "kills at many moments, and is alone: `cargo xtask test --slow` runs it"]
async fn a_killed_maker_clerk_or_container_leaves_nothing() -> Result<()> {
    let node = Node::start().await?;
    let hits = lives(&node, &image("sleep")?, Victim::Forked).await?;
    ensure!(
        hits >= 2,
        "only {hits} of {MOMENTS} kills met a process of the supervisor"
    );
    node.nothing_is_left(CLEANED).await
}

#[tokio::test]
async fn a_killed_compiler_fails_its_container_and_no_other() -> Result<()> {
    let node = Node::start().await?;
    // Takes long to compile, so it is met; never finished, so it is compiled each time.
    let large = image("hello_go")?;
    let container = node
        .container("large")
        .image(&large)
        .runtime(Runtime::Coracle);
    let killed = async {
        let end = Instant::now() + CLEANED;
        while Victim::Compiler.kill(&node)? == 0 {
            ensure!(Instant::now() < end, "nothing is compiled");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    let (finished, killed) = tokio::join!(container.run(), killed);
    killed?;
    let finished = finished?;
    ensure!(finished.code == 126, "{finished:?}");
    let said = finished.stderr.text().to_owned();
    ensure!(said.contains("the compiler crashed"), "{said}");
    let again = node
        .container("again")
        .image(&large)
        .runtime(Runtime::Coracle);
    let again = again.run().await?;
    ensure!(again.stdout.text() == "hello from go\n", "{again:?}");
    node.nothing_is_left(CLEANED).await
}

#[tokio::test]
async fn a_killed_containerd_finds_its_containers_again() -> Result<()> {
    let node = Node::start().await?;
    let sleeper = image("sleep")?;
    let container = node
        .container("sleeper")
        .image(&sleeper)
        .runtime(Runtime::Coracle);
    let task = container.start().await?;
    task.says("ready\n").await?;
    for _ in 0..3 {
        kill(node.containerd_pid()?, Kill::SIGKILL)?;
        node.restart_containerd().await?;
    }
    task.kill(Signal::SIGKILL).await?;
    ensure!(task.finish().await?.code == 137);
    node.nothing_is_left(CLEANED).await
}
