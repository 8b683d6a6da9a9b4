//! Building every guest that is missing from the cache.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use std::{fs, thread};

use thiserror::Error;

use crate::built::entry;
use crate::cache::{self, CacheError};
use crate::command::CommandError;
use crate::toolchain::{ToolchainError, Tools};
use crate::{Guest, Language, catalogue, recipe};

/// A guest cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// What compiles it cannot be had here.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// Its compiler refused it, or cannot be started.
    #[error("guest `{guest}` does not compile")]
    Compile {
        /// The guest's name.
        guest: &'static str,
        /// What the compiler said.
        #[source]
        source: CommandError,
    },
    /// It is no module in the text format.
    #[error("guest `{guest}` does not parse")]
    Wat {
        /// The guest's name.
        guest: &'static str,
        /// Where and why.
        #[source]
        source: wat::Error,
    },
    /// Its core module cannot be made a component.
    #[error("guest `{guest}` cannot be made a component")]
    Component {
        /// The guest's name.
        guest: &'static str,
        /// What does not fit.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The cache cannot be used.
    #[error("the guests cannot be kept")]
    Cache(#[from] CacheError),
}

/// What happens during a build, in the order it happens; several languages are at work at once.
#[derive(Debug)]
pub enum Event {
    /// A toolchain is being assembled, which takes from seconds to a minute or two.
    Assembling {
        /// Its name.
        toolchain: &'static str,
    },
    /// A guest is being built.
    Building(&'static Guest),
    /// A guest was built.
    Built {
        /// Which.
        guest: &'static Guest,
        /// The size of its file in bytes.
        size: u64,
        /// How long that took.
        took: Duration,
    },
    /// A guest cannot be built on this machine, and can be done without.
    Skipped(Skipped),
}

/// A guest that was not built because this machine has nothing to compile it with.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// Which.
    pub guest: &'static Guest,
    /// What is missing, with all the causes, for people to read.
    pub reason: String,
}

/// The outcome of a build.
#[derive(Debug, Default)]
pub struct Report {
    /// Guests that were built now.
    pub built: Vec<&'static Guest>,
    /// Guests whose current sources were built before.
    pub cached: Vec<&'static Guest>,
    /// Guests that were not built.
    pub skipped: Vec<Skipped>,
}

/// Builds every guest whose current sources are not in the cache, and tells `progress` what it is doing.
/// Another build, in whatever process, is waited for.
///
/// # Errors
/// The first failure. A toolchain that cannot be had is a failure for Rust and WAT only; for the other
/// languages it is [`Skipped`].
pub fn build_all(progress: &mut dyn FnMut(&Event)) -> Result<Report, BuildError> {
    build(catalogue(), progress)
}

/// Like [`build_all`], of these guests.
///
/// # Errors
/// As of [`build_all`].
pub fn build(
    guests: impl IntoIterator<Item = &'static Guest>,
    progress: &mut dyn FnMut(&Event),
) -> Result<Report, BuildError> {
    let _held = cache::lock(&cache::guests()?.join(".lock"))?;
    let mut report = Report::default();
    let mut lanes: BTreeMap<Language, Vec<&'static Guest>> = BTreeMap::new();
    for guest in guests {
        if entry(guest)?.is_file() {
            report.cached.push(guest);
        } else {
            lanes.entry(guest.language.lane()).or_default().push(guest);
        }
    }
    run_lanes(&lanes, progress, &mut report)?;
    Ok(report)
}

fn run_lanes(
    lanes: &BTreeMap<Language, Vec<&'static Guest>>,
    progress: &mut dyn FnMut(&Event),
    report: &mut Report,
) -> Result<(), BuildError> {
    thread::scope(|scope| {
        let (events, received) = mpsc::channel();
        let running: Vec<_> = lanes
            .iter()
            .map(|(language, guests)| {
                let events = events.clone();
                scope.spawn(move || build_lane(*language, guests, &events))
            })
            .collect();
        // The loop ends when the last lane has let go of its end.
        drop(events);
        for event in received {
            progress(&event);
            match event {
                Event::Built { guest, .. } => report.built.push(guest),
                Event::Skipped(skipped) => report.skipped.push(skipped),
                Event::Assembling { .. } | Event::Building(_) => {}
            }
        }
        running.into_iter().try_for_each(|lane| match lane.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn build_lane(
    language: Language,
    guests: &[&'static Guest],
    events: &Sender<Event>,
) -> Result<(), BuildError> {
    let assembling = |toolchain| tell(events, Event::Assembling { toolchain });
    let tools = match language.tools(&assembling) {
        Ok(tools) => tools,
        Err(error) if language.is_required() => return Err(error.into()),
        Err(error) => {
            let reason = with_causes(&error);
            for guest in guests {
                tell(
                    events,
                    Event::Skipped(Skipped {
                        guest,
                        reason: reason.clone(),
                    }),
                );
            }
            return Ok(());
        }
    };
    guests
        .iter()
        .try_for_each(|guest| build_one(guest, &tools, events))
}

fn build_one(
    guest: &'static Guest,
    tools: &Tools,
    events: &Sender<Event>,
) -> Result<(), BuildError> {
    let begin = Instant::now();
    tell(events, Event::Building(guest));
    let finished = entry(guest)?;
    // Nothing else writes this name: there is one build at a time.
    let partial = finished.with_extension("partial");
    recipe::build(guest, tools, &partial)?;
    let size = publish(guest, &partial, &finished)?;
    tell(
        events,
        Event::Built {
            guest,
            size,
            took: begin.elapsed(),
        },
    );
    Ok(())
}

/// Gives a finished file its name, at once and whole, and lets go of those it follows.
fn publish(guest: &Guest, partial: &Path, finished: &Path) -> Result<u64, CacheError> {
    let size = partial.metadata().map_err(CacheError::at(partial))?.len();
    fs::rename(partial, finished).map_err(CacheError::at(finished))?;
    cache::sweep(&cache::guests()?, guest.name, finished)?;
    Ok(size)
}

/// The receiver outlives all lanes; without one there would be nobody to tell anything.
fn tell(events: &Sender<Event>, event: Event) {
    drop(events.send(event));
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
