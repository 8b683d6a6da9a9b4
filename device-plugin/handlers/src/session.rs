//! The rounds of a handler: it reads what is asked, looks, and answers what has changed.

use std::collections::BTreeMap;
use std::io;

use coracle_akri_protocol::{Answered, Answerer, Disk, Layout, Outcome, ProtocolError, Request};

use crate::handler::{Handler, Invalid};

/// One question that is being answered.
struct Asked<Q> {
    generation: u64,
    query: Result<Q, Invalid>,
}

/// A handler at work.
pub struct Session<H: Handler> {
    handler: H,
    answerer: Answerer<Disk>,
    asked: BTreeMap<String, Asked<H::Query>>,
}

/// What happened in one round, in lines for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Requests that came, that went, and answers that were written.
    pub lines: Vec<String>,
    /// What went wrong; the next round tries again.
    pub problems: Vec<String>,
}

impl<H: Handler> Session<H> {
    /// Joins the shared folder of `layout`. `start` must differ from that of any earlier start.
    ///
    /// # Errors
    /// When the folder is not there or cannot be written.
    pub fn open(handler: H, layout: Layout, start: &str) -> Result<Self, ProtocolError> {
        Ok(Self {
            handler,
            answerer: Answerer::open(Disk, layout, start)?,
            asked: BTreeMap::new(),
        })
    }

    /// Looks once for every request, writes the answers that changed, and gives a sign of life.
    pub fn round(&mut self) -> Round {
        let mut round = Round::default();
        match self.answerer.requests() {
            Ok(requests) => self.answer_all(requests, &mut round),
            Err(error) => round.problems.push(with_cause(&error)),
        }
        if let Err(error) = self.answerer.beat() {
            round.problems.push(with_cause(&error));
        }
        round
    }

    fn answer_all(
        &mut self,
        requests: BTreeMap<String, Result<Request, ProtocolError>>,
        round: &mut Round,
    ) {
        self.asked.retain(|id, _| {
            let stays = requests.contains_key(id);
            if !stays {
                round.lines.push(format!("request {id} was withdrawn"));
            }
            stays
        });
        for (id, request) in requests {
            let answered = request.and_then(|request| self.answer(&id, &request, round));
            if let Err(error) = answered {
                round.problems.push(with_cause(&error));
            }
        }
    }

    fn answer(
        &mut self,
        id: &str,
        request: &Request,
        round: &mut Round,
    ) -> Result<(), ProtocolError> {
        let known = self.asked.get(id);
        if known.is_none_or(|asked| asked.generation != request.generation) {
            let query = self.handler.query(&request.details, &request.properties);
            let asked = Asked {
                generation: request.generation,
                query,
            };
            round.lines.push(format!("request {id} came"));
            self.asked.insert(id.to_owned(), asked);
        }
        let Some(asked) = self.asked.get(id) else {
            return Ok(());
        };
        let outcome = outcome(&self.handler, &asked.query);
        let answered = self.answerer.answer(id, asked.generation, &outcome)?;
        if answered == Answered::Written {
            round
                .lines
                .push(format!("request {id} is answered: {}", summary(&outcome)));
        }
        Ok(())
    }
}

fn outcome<H: Handler>(handler: &H, query: &Result<H::Query, Invalid>) -> Outcome {
    match query {
        Err(invalid) => Outcome::Invalid(invalid.to_string()),
        Ok(query) => match handler.devices(query) {
            Ok(devices) => Outcome::Devices(devices),
            Err(failed) => Outcome::Failed(failed.to_string()),
        },
    }
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Devices(devices) => format!("{} devices", devices.len()),
        Outcome::Invalid(reason) => format!("invalid, {reason}"),
        Outcome::Failed(reason) => format!("failed, {reason}"),
    }
}

fn with_cause(error: &ProtocolError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A mark that differs between any two starts.
pub(crate) fn start_mark() -> io::Result<String> {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    let since = since.map_err(io::Error::other)?;
    Ok(format!("{:x}", since.as_nanos()))
}
