//! Notices what the handler writes, by inotify.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use coracle_akri_protocol::{Layout, Side};
use futures_util::StreamExt as _;
use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};

use crate::board::Board;

/// The folders that are watched: those of the requests, and the one with the signs of life.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    watches: Watches,
    /// The request of each watched folder.
    requests: Arc<Mutex<HashMap<WatchDescriptor, String>>>,
}

/// What the watcher reads from.
pub(crate) struct Notices {
    inotify: Inotify,
    watcher: Watcher,
    answer: std::ffi::OsString,
    beat: std::ffi::OsString,
}

impl Watcher {
    /// Begins with the folder of the signs of life.
    ///
    /// # Errors
    /// When there are no more watches, or the folder is not there.
    pub(crate) fn new(layout: &Layout) -> io::Result<(Self, Notices)> {
        let inotify = Inotify::init()?;
        let watcher = Self {
            watches: inotify.watches(),
            requests: Arc::default(),
        };
        watcher
            .watches
            .clone()
            .add(layout.alive(), WatchMask::MOVED_TO)?;
        let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
        let notices = Notices {
            inotify,
            watcher: watcher.clone(),
            answer: name(&layout.answer("any")),
            beat: name(&layout.beat(Side::Answerer)),
        };
        Ok((watcher, notices))
    }

    /// Watches the folder of a request. The watch ends by itself when the folder is deleted.
    ///
    /// # Errors
    /// When there are no more watches, or the folder is not there.
    pub(crate) fn add(&self, folder: &Path) -> io::Result<()> {
        let mask = WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        let watch = self.watches.clone().add(folder, mask)?;
        let id = folder.file_name().unwrap_or_default().to_string_lossy();
        self.lock().insert(watch, id.into_owned());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WatchDescriptor, String>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notices {
    /// Tells the board of every answer and every sign of life, without end.
    ///
    /// # Errors
    /// When inotify fails.
    pub(crate) async fn tell(self, board: &Board) -> io::Result<()> {
        let (watcher, answer, beat) = (self.watcher, self.answer, self.beat);
        let mut events = self.inotify.into_event_stream([0; 4096])?;
        while let Some(event) = events.next().await {
            let event = event?;
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                board.beat_seen();
                board.read_all();
            } else if event.mask.contains(EventMask::IGNORED) {
                watcher.lock().remove(&event.wd);
            } else if event.name.as_deref() == Some(beat.as_os_str()) {
                board.beat_seen();
            } else if event.name.as_deref() == Some(OsStr::new(&answer)) {
                let id = watcher.lock().get(&event.wd).cloned();
                if let Some(id) = id {
                    board.read(&id);
                }
            }
        }
        Ok(())
    }
}
