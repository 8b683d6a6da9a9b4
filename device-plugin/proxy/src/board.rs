//! The questions that the Agent has open, and what the handler says to each.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coracle_akri_protocol::{Asker, Beat, Disk, Layout, Outcome, ProtocolError, Request};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::metrics::Metrics;
use crate::translate::Question;

/// What a stream waits on: the last outcome, and `None` until there is one.
pub(crate) type Outcomes = watch::Receiver<Option<Outcome>>;

/// The questions and their answers. Streams share it with the watcher of the folder.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    silence: Duration,
    linger: Duration,
}

#[derive(Debug)]
struct State {
    asker: Asker<Disk>,
    open: BTreeMap<String, Entry>,
    handler: Option<Beat>,
    /// When the handler was seen last; at first, when this proxy started to look.
    seen: Instant,
    last_generation: u64,
}

#[derive(Debug)]
struct Entry {
    generation: u64,
    outcome: watch::Sender<Option<Outcome>>,
    /// Since when no stream is interested.
    idle_since: Option<Instant>,
}

impl Board {
    /// Takes over the shared folder.
    ///
    /// # Errors
    /// When it is not there or cannot be written.
    pub(crate) fn open(
        layout: Layout,
        metrics: Arc<Metrics>,
        silence: Duration,
        linger: Duration,
    ) -> Result<Self, ProtocolError> {
        let now = milliseconds();
        let state = State {
            asker: Asker::open(Disk, layout, &now.to_string())?,
            open: BTreeMap::new(),
            handler: None,
            seen: Instant::now(),
            last_generation: now,
        };
        Ok(Self {
            state: Mutex::new(state),
            metrics,
            silence,
            linger,
        })
    }

    /// Asks the handler, or joins those who asked the same. `watched` is called with the folder that the answer
    /// will appear in, before anything is asked.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub(crate) fn ask(
        &self,
        question: &Question,
        watched: impl FnOnce(&std::path::Path) -> std::io::Result<()>,
    ) -> Result<Outcomes, BoardError> {
        let id = question.id();
        let mut state = self.lock();
        if let Some(entry) = state.open.get_mut(&id) {
            entry.idle_since = None;
            return Ok(entry.outcome.subscribe());
        }
        state.asker.prepare(&id)?;
        watched(&state.asker.layout().folder(&id)).map_err(BoardError::Watch)?;
        // Never the same twice, also after a restart within the clock's jumps: it counts up from the start.
        let generation = milliseconds().max(state.last_generation + 1);
        state.last_generation = generation;
        let request = Request {
            generation,
            details: question.details.clone(),
            properties: question.properties.clone(),
        };
        state.asker.ask(&id, &request)?;
        info!(request = id, generation, "handler is asked");
        let (outcome, outcomes) = watch::channel(None);
        let entry = Entry {
            generation,
            outcome,
            idle_since: None,
        };
        state.open.insert(id, entry);
        self.count(&state);
        Ok(outcomes)
    }

    /// Reads the answer to request `id`, and tells the streams when it is another than before.
    pub(crate) fn read(&self, id: &str) {
        let state = self.lock();
        let Some(entry) = state.open.get(id) else {
            return;
        };
        match state.asker.answer(id, entry.generation) {
            Ok(Some(answer)) => {
                let changed = set(&entry.outcome, answer.outcome);
                debug!(
                    request = id,
                    serial = answer.serial,
                    changed,
                    "handler answered"
                );
            }
            Ok(None) => {}
            Err(failure) => {
                self.metrics.unreadable.fetch_add(1, Ordering::Relaxed);
                error!(request = id, %failure, "answer cannot be read");
            }
        }
    }

    /// Reads every answer: notices of changes were lost.
    pub(crate) fn read_all(&self) {
        let ids: Vec<String> = self.lock().open.keys().cloned().collect();
        for id in ids {
            self.read(&id);
        }
    }

    /// Notes the handler's sign of life.
    pub(crate) fn beat_seen(&self) {
        if self.note_beat() && !self.metrics.handler_alive.swap(true, Ordering::Relaxed) {
            // While it was silent, its devices were given up, and an answer that did not change is not written again.
            self.read_all();
        }
    }

    /// Whether there is a beat that was not there before.
    fn note_beat(&self) -> bool {
        let mut state = self.lock();
        let beat = match state.asker.handler_beat() {
            Ok(Some(beat)) if state.handler.as_ref() != Some(&beat) => beat,
            Ok(_) => return false,
            Err(failure) => {
                error!(%failure, "sign of life cannot be read");
                return false;
            }
        };
        state.seen = Instant::now();
        let last = state.handler.replace(beat.clone());
        if last.is_none_or(|last| last.start != beat.start) {
            self.metrics.handler_starts.fetch_add(1, Ordering::Relaxed);
            info!(start = beat.start, "handler runs");
        }
        true
    }

    /// What is to be done from time to time: a sign of life, an end to what nobody wants, a look at the handler.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        if let Err(failure) = state.asker.beat().and_then(|()| state.asker.sweep()) {
            warn!(%failure, "shared folder cannot be written");
        }
        self.withdraw_idle(&mut state);
        if state.seen.elapsed() > self.silence {
            self.give_up(&state);
        }
        self.count(&state);
    }

    /// Ends the streams of a handler that is silent.
    fn give_up(&self, state: &State) {
        if self.metrics.handler_alive.swap(false, Ordering::Relaxed) {
            warn!(silence = ?self.silence, "handler shows no sign of life");
        }
        let reason = format!("the handler shows no sign of life for {:?}", self.silence);
        for entry in state.open.values() {
            set(&entry.outcome, Outcome::Failed(reason.clone()));
        }
    }

    fn withdraw_idle(&self, state: &mut State) {
        let now = Instant::now();
        let mut gone = Vec::new();
        for (id, entry) in &mut state.open {
            if entry.outcome.receiver_count() > 0 {
                entry.idle_since = None;
            } else if now - *entry.idle_since.get_or_insert(now) >= self.linger {
                gone.push(id.clone());
            }
        }
        for id in gone {
            let Some(entry) = state.open.remove(&id) else {
                continue;
            };
            match state.asker.withdraw(&id, entry.generation) {
                Ok(()) => info!(request = id, "request is withdrawn"),
                Err(failure) => warn!(request = id, %failure, "request cannot be withdrawn"),
            }
        }
    }

    fn count(&self, state: &State) {
        let open = u64::try_from(state.open.len()).unwrap_or(u64::MAX);
        self.metrics.requests.store(open, Ordering::Relaxed);
    }

    /// A panic while the lock was held leaves nothing half done: all writes are of whole messages.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler cannot be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BoardError {
    /// The request cannot be written.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The answer could not be noticed.
    #[error("the request's folder cannot be watched")]
    Watch(#[source] std::io::Error),
}

/// Sets an outcome, and says whether that changed it.
fn set(sender: &watch::Sender<Option<Outcome>>, new: Outcome) -> bool {
    sender.send_if_modified(|outcome| {
        let changed = outcome.as_ref() != Some(&new);
        *outcome = Some(new);
        changed
    })
}

fn milliseconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0))
}
