//! How the runtime stands on a node, as a table for people.

use std::path::PathBuf;

use super::{InstallError, Installer, read};
use crate::binary::{SHIM, Seat};
use crate::entry::HANDLER;
use crate::host::Host;
use crate::payload::Payload;
use crate::plan::Place;
use crate::record::Record;

const THERE: &str = "there";

const MISSING: &str = "missing";

/// How the runtime stands on a node.
#[derive(Clone, Debug)]
pub struct Status {
    /// Lines of a name and what is to be said about it.
    lines: Vec<(&'static str, String)>,
    /// Whether pods can be run.
    pub ready: bool,
}

impl Status {
    /// The table.
    #[must_use]
    pub fn table(&self) -> String {
        let lines = self.lines.iter();
        lines
            .map(|(name, said)| format!("{name:<15}{said}\n"))
            .collect()
    }
}

impl<H: Host> Installer<'_, H> {
    /// How the runtime stands on this node, and what an installation of `payload` would change.
    ///
    /// # Errors
    /// As [`Installer::install`], where it would fail before it changes anything.
    pub fn status(&self, payload: Option<&Payload>) -> Result<Status, InstallError> {
        let (distribution, seat, plan) = self.plan()?;
        let record = Record::read(&self.node)?;
        let programs = self.programs(&seat, payload, record.as_ref())?;
        let place = match plan.place {
            Place::MainFile => "main file",
            Place::DropIn => "drop-in",
            Place::Template => "template",
        };
        let written = if plan.is_done() {
            "written"
        } else {
            "to be written"
        };
        let handlers = self.host.handlers(&self.socket(distribution));
        let loaded = handlers
            .as_ref()
            .is_ok_and(|names| names.iter().any(|name| name == HANDLER));
        let handlers_said = match &handlers {
            Ok(names) if loaded => format!("loaded (all: {})", names.join(", ")),
            Ok(names) => format!("not loaded (all: {})", names.join(", ")),
            Err(error) => format!("unknown: {error}"),
        };
        let pods = self.host.shims()?.len();
        let record = match record {
            Some(_) => "kept; uninstall restores what was there",
            None => "none",
        };
        let ready = programs.iter().all(|(_, said)| *said == THERE) && plan.is_done() && loaded;
        let mut lines = vec![
            ("distribution", distribution.to_string()),
            ("schema", plan.schema.number().to_string()),
        ];
        lines.extend(
            programs
                .into_iter()
                .map(|(path, said)| ("program", format!("{} ({said})", path.display()))),
        );
        lines.extend([
            (
                "configuration",
                format!("{} ({place}, {written})", plan.path.display()),
            ),
            ("handler", handlers_said),
            ("pods", pods.to_string()),
            ("record", record.to_owned()),
        ]);
        Ok(Status { lines, ready })
    }

    /// Each program that is to be on the node, and whether it is.
    fn programs(
        &self,
        seat: &Seat,
        payload: Option<&Payload>,
        record: Option<&Record>,
    ) -> Result<Vec<(PathBuf, &'static str)>, InstallError> {
        let Some(payload) = payload else {
            let known = record.map(|record| record.programs.clone());
            let paths = known.unwrap_or_else(|| vec![seat.of_program(SHIM)]);
            return paths
                .into_iter()
                .map(|path| {
                    let is_there = self.at(&path)?.exists();
                    Ok((path, if is_there { THERE } else { MISSING }))
                })
                .collect();
        };
        let mut programs = Vec::new();
        for name in payload.names() {
            let path = seat.of_program(name);
            let found = self
                .node
                .read(&path)
                .map_err(|source| read(&path, source))?;
            let said = match found {
                None => MISSING,
                Some(bytes) if bytes != payload.read(name)? => "another build",
                Some(_) => THERE,
            };
            programs.push((path, said));
        }
        Ok(programs)
    }
}
