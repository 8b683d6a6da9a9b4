//! How the runtime stands on a node, as a table for people.

use std::path::Path;

use super::{InstallError, Installer};
use crate::entry::HANDLER;
use crate::host::Host;
use crate::plan::Place;
use crate::record::Record;

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
    /// How the runtime stands on this node, and what an installation of the shim `program` would change.
    ///
    /// # Errors
    /// As [`Installer::install`], where it would fail before it changes anything.
    pub fn status(&self, program: Option<&Path>) -> Result<Status, InstallError> {
        let (distribution, seat, plan) = self.plan()?;
        let shim = self.at(&seat.path)?;
        let same = |here: &Path| std::fs::read(here).ok() == std::fs::read(&shim).ok();
        let shim_said = match (shim.exists(), program) {
            (false, _) => "missing",
            (true, Some(program)) if !same(program) => "another build",
            (true, _) => "there",
        };
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
        let record = match Record::read(&self.node)? {
            Some(_) => "kept; uninstall restores what was there",
            None => "none",
        };
        let ready = shim_said == "there" && plan.is_done() && loaded;
        Ok(Status {
            lines: vec![
                ("distribution", distribution.to_string()),
                ("schema", plan.schema.number().to_string()),
                ("shim", format!("{} ({shim_said})", seat.path.display())),
                (
                    "configuration",
                    format!("{} ({place}, {written})", plan.path.display()),
                ),
                ("handler", handlers_said),
                ("pods", pods.to_string()),
                ("record", record.to_owned()),
            ],
            ready,
        })
    }
}
