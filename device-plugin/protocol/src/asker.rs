//! The proxy's side: it makes requests, withdraws them, and reads answers.

use std::io;
use std::path::Path;

use crate::files::{Files, ensure_folder, replace};
use crate::layout::{Layout, Side, check_id};
use crate::message::{self, Answer, Beat, Request};
use crate::{ProtocolError, VERSION};

/// The side that asks. There is one at a time in a shared folder.
#[derive(Debug)]
pub struct Asker<F> {
    files: F,
    layout: Layout,
    beat: Beat,
}

impl<F: Files> Asker<F> {
    /// Takes the shared folder over: whatever an earlier asker left is withdrawn, so that every answer seen
    /// from now on was given from now on. `start` must differ from that of any earlier asker.
    ///
    /// # Errors
    /// When the shared folder is not there or cannot be written.
    pub fn open(files: F, layout: Layout, start: &str) -> Result<Self, ProtocolError> {
        for folder in layout.folders() {
            ensure_folder(&files, &folder).map_err(ProtocolError::at(&folder))?;
        }
        let asker = Self {
            files,
            layout,
            beat: Beat {
                start: start.to_owned(),
                count: 0,
            },
        };
        for id in asker.list(&asker.layout.requests())? {
            asker.withdraw_leftover(&id)?;
        }
        asker.sweep()?;
        Ok(asker)
    }

    /// Where things are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes the folder of request `id`, so that it can be watched before anything is in it.
    ///
    /// # Errors
    /// When `id` cannot name a request, or the folder cannot be made.
    pub fn prepare(&self, id: &str) -> Result<(), ProtocolError> {
        check_id(id)?;
        let folder = self.layout.folder(id);
        ensure_folder(&self.files, &folder).map_err(ProtocolError::at(&folder))
    }

    /// Asks: once this returns, a handler that is alive or starts later will answer. The generation must not
    /// have been used with this `id`.
    ///
    /// # Errors
    /// When `id` cannot name a request, or its file cannot be written.
    pub fn ask(&self, id: &str, request: &Request) -> Result<(), ProtocolError> {
        self.prepare(id)?;
        let path = self.layout.request(id);
        let bytes = message::encode(&path, request)?;
        replace(&self.files, &path, &bytes).map_err(ProtocolError::at(&path))
    }

    /// The current answer to generation `generation` of request `id`, if there is one yet.
    ///
    /// # Errors
    /// When the file cannot be read, or something else than this protocol wrote it.
    pub fn answer(&self, id: &str, generation: u64) -> Result<Option<Answer>, ProtocolError> {
        let answer: Option<Answer> = message::read(&self.files, &self.layout.answer(id))?;
        Ok(answer.filter(|answer| answer.generation == generation))
    }

    /// Withdraws request `id`, at once; what is left of it is deleted now or by a later [`sweep`](Self::sweep).
    ///
    /// # Errors
    /// When it cannot be withdrawn. That it is gone already is no error.
    pub fn withdraw(&self, id: &str, generation: u64) -> Result<(), ProtocolError> {
        let folder = self.layout.folder(id);
        let target = self.layout.withdrawn(id, generation);
        match self.files.rename(&folder, &target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                // A crashed asker used the same generation; its leftovers make room.
                self.clear(&target)?;
                let renamed = self.files.rename(&folder, &target);
                renamed.map_err(ProtocolError::at(&folder))
            }
            renamed => renamed.map_err(ProtocolError::at(&folder)),
        }?;
        self.clear(&target)
    }

    /// Deletes what is left of withdrawn requests.
    ///
    /// # Errors
    /// When a folder cannot be read or a file cannot be deleted.
    pub fn sweep(&self) -> Result<(), ProtocolError> {
        let removed = self.layout.removed();
        for name in self.list(&removed)? {
            self.clear(&removed.join(name))?;
        }
        Ok(())
    }

    /// Gives a sign of life.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn beat(&mut self) -> Result<(), ProtocolError> {
        self.beat.count += 1;
        let path = self.layout.beat(Side::Asker);
        let bytes = message::encode(&path, &self.beat)?;
        replace(&self.files, &path, &bytes).map_err(ProtocolError::at(&path))
    }

    /// The handler's last sign of life.
    ///
    /// # Errors
    /// When the file cannot be read, or something else than this protocol wrote it.
    pub fn handler_beat(&self) -> Result<Option<Beat>, ProtocolError> {
        message::read(&self.files, &self.layout.beat(Side::Answerer))
    }

    /// An earlier asker may have crashed before it wrote the request, or while another version of it ran.
    fn withdraw_leftover(&self, id: &str) -> Result<(), ProtocolError> {
        let request: Result<Option<Request>, _> =
            message::read(&self.files, &self.layout.request(id));
        let generation = match request {
            Ok(request) => request.map_or(u64::from(VERSION), |request| request.generation),
            Err(ProtocolError::Malformed { .. } | ProtocolError::Version { .. }) => 0,
            Err(error) => return Err(error),
        };
        self.withdraw(id, generation)
    }

    /// Deletes a withdrawn request. The handler may still finish a file that it had begun: then the folder
    /// stays until the next sweep.
    fn clear(&self, folder: &Path) -> Result<(), ProtocolError> {
        for name in self.list(folder)? {
            let path = folder.join(name);
            unless_gone(self.files.remove_file(&path)).map_err(ProtocolError::at(&path))?;
        }
        match unless_gone(self.files.remove_folder(folder)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.map_err(ProtocolError::at(folder)),
        }
    }

    fn list(&self, folder: &Path) -> Result<Vec<String>, ProtocolError> {
        match self.files.list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(ProtocolError::at(folder)),
        }
    }
}

fn unless_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
