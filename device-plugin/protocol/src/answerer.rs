//! The handler's side: it reads requests and answers them.

use std::collections::BTreeMap;
use std::io;

use crate::ProtocolError;
use crate::files::{Files, ensure_folder, replace};
use crate::layout::{Layout, Side, check_id, is_id};
use crate::message::{self, Answer, Beat, Outcome, Request};

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was written; the proxy sees it.
    Written,
    /// The same answer was there already.
    Unchanged,
    /// The request was withdrawn: nobody waits for this.
    Withdrawn,
}

/// The side that answers. There is one at a time in a shared folder.
#[derive(Debug)]
pub struct Answerer<F> {
    files: F,
    layout: Layout,
    beat: Beat,
}

impl<F: Files> Answerer<F> {
    /// Joins the shared folder, before or after the proxy. `start` must differ from that of any earlier
    /// handler.
    ///
    /// # Errors
    /// When the shared folder is not there or cannot be written.
    pub fn open(files: F, layout: Layout, start: &str) -> Result<Self, ProtocolError> {
        for folder in layout.folders() {
            ensure_folder(&files, &folder).map_err(ProtocolError::at(&folder))?;
        }
        let beat = Beat {
            start: start.to_owned(),
            count: 0,
        };
        Ok(Self {
            files,
            layout,
            beat,
        })
    }

    /// Where things are.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All requests by name. One that cannot be understood is an error of its own; the others still count.
    ///
    /// # Errors
    /// When the folder of requests cannot be read.
    pub fn requests(
        &self,
    ) -> Result<BTreeMap<String, Result<Request, ProtocolError>>, ProtocolError> {
        let folder = self.layout.requests();
        let names = match self.files.list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(ProtocolError::at(&folder))?,
        };
        let requests = names.into_iter().filter(|name| is_id(name));
        Ok(requests
            .filter_map(|id| {
                let request = message::read(&self.files, &self.layout.request(&id)).transpose()?;
                Some((id, request))
            })
            .collect())
    }

    /// Answers generation `generation` of request `id`, unless the same answer is there already. Once this
    /// returns, the answer outlives a crash of either side.
    ///
    /// # Errors
    /// When the answer cannot be read or written, other than because the request was withdrawn.
    pub fn answer(
        &self,
        id: &str,
        generation: u64,
        outcome: &Outcome,
    ) -> Result<Answered, ProtocolError> {
        check_id(id)?;
        let path = self.layout.answer(id);
        let last: Option<Answer> = match message::read(&self.files, &path) {
            // What nobody can read is replaced.
            Err(ProtocolError::Malformed { .. } | ProtocolError::Version { .. }) => None,
            read => read?,
        };
        if let Some(last) = &last
            && last.generation == generation
            && last.outcome == *outcome
        {
            return Ok(Answered::Unchanged);
        }
        let answer = Answer {
            generation,
            serial: last.map_or(0, |last| last.serial) + 1,
            outcome: outcome.clone(),
        };
        let bytes = message::encode(&path, &answer)?;
        match replace(&self.files, &path, &bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Answered::Withdrawn),
            replaced => replaced
                .map(|()| Answered::Written)
                .map_err(ProtocolError::at(&path)),
        }
    }

    /// Gives a sign of life. To be called after each round, when every answer is what the devices are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn beat(&mut self) -> Result<(), ProtocolError> {
        self.beat.count += 1;
        let path = self.layout.beat(Side::Answerer);
        let bytes = message::encode(&path, &self.beat)?;
        replace(&self.files, &path, &bytes).map_err(ProtocolError::at(&path))
    }

    /// The proxy's last sign of life.
    ///
    /// # Errors
    /// When the file cannot be read, or something else than this protocol wrote it.
    pub fn proxy_beat(&self) -> Result<Option<Beat>, ProtocolError> {
        message::read(&self.files, &self.layout.beat(Side::Asker))
    }
}
