//! Removing the runtime from a node.

use super::{InstallError, Installer, read};
use crate::distribution::Distribution;
use crate::host::Host;
use crate::plan;
use crate::record::{self, Record};
use crate::transaction::{self, Transaction};
use crate::write;

impl<H: Host> Installer<'_, H> {
    /// Makes the node what it was before [`Installer::install`]: byte for byte where nobody else has changed
    /// the configuration since, else by removing the entry from it. Returns whether anything was there.
    ///
    /// # Errors
    /// When pods of this runtime run and not `force`, a file cannot be restored, or containerd does not come
    /// back.
    pub fn uninstall(&self, force: bool) -> Result<bool, InstallError> {
        let _lock = self.lock()?;
        let distribution = Distribution::of(&self.node, self.settings.distribution)?;
        let Some(mut record) = Record::read(&self.node)? else {
            return Ok(false);
        };
        let pids = self.host.shims()?;
        if !pids.is_empty() && !force {
            let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
            return Err(InstallError::InUse {
                pids: pids.join(", "),
            });
        }
        let mut changes = Transaction::default();
        let changed = self.restore_configuration(&mut record, &mut changes)?;
        if changed {
            self.host.restart(distribution)?;
            self.wait(&self.socket(distribution), |_| true)?;
        }
        for program in &record.programs {
            write::remove(&self.at(program)?).map_err(|source| read(program, source))?;
        }
        self.forget(&record)?;
        Ok(true)
    }

    /// Gives the configuration back, and says whether that changed anything.
    pub(super) fn restore_configuration(
        &self,
        record: &mut Record,
        changes: &mut Transaction,
    ) -> Result<bool, InstallError> {
        let Some(configured) = record.configuration.take() else {
            return Ok(false);
        };
        let path = &configured.path;
        let now = self.node.read(path).map_err(|source| read(path, source))?;
        let Some(now) = now else {
            return Ok(false);
        };
        let wanted = if record::backup(&self.node, record::AFTER)?.as_ref() == Some(&now) {
            match configured.existed {
                true => record::backup(&self.node, record::BEFORE)?,
                false => None,
            }
        } else {
            tracing::info!(path = %path.display(), "somebody else has changed the file; only the entry is removed");
            plan::without_entry(configured.place, path, &now)?
        };
        let here = self.at(path)?;
        match wanted {
            Some(bytes) => Ok(changes.write(&here, &bytes, 0o644)?),
            None => {
                changes.remove(&here)?;
                Ok(true)
            }
        }
    }

    /// Removes the record, the last thing that tells of an installation, and the folders that were made.
    fn forget(&self, record: &Record) -> Result<(), InstallError> {
        // The record itself goes last: a removal that is cut off is taken up again.
        for path in [record::AFTER, record::BEFORE, record::FILE] {
            let path = path.as_ref();
            write::remove(&self.at(path)?).map_err(|source| read(path, source))?;
        }
        let mut folders = Vec::new();
        for folder in record.folders.iter().rev() {
            folders.push(self.at(folder)?);
        }
        transaction::remove_empty(folders.iter());
        Ok(())
    }
}
