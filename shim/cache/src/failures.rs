//! What compilations failed of, for those who waited for them.

use std::path::Path;
use std::time::SystemTime;

use crate::CacheError;
use crate::marks::Marks;

/// Reasons, by the names of the entries that there would have been.
#[derive(Clone, Debug)]
pub(crate) struct Failures(Marks);

/// Longest reason in bytes: what a mark says is the target of a link, and those end at 4095.
const LENGTH: usize = 2048;

/// How many reasons are kept.
const LIMIT: usize = 1024;

impl Failures {
    pub(crate) fn open(marks: &Path) -> Result<Self, CacheError> {
        Marks::open(marks, "failures").map(Self)
    }

    pub(crate) fn keep(&self, name: &str, reason: &str) {
        self.0.clear_at(LIMIT);
        // The target of a link is not empty and holds no zero byte.
        let reason = reason.replace('\0', " ");
        let end = reason.floor_char_boundary(LENGTH);
        let reason = reason.get(..end).unwrap_or_default();
        let reason = if reason.is_empty() { " " } else { reason };
        self.0.write(name, reason);
    }

    pub(crate) fn forget(&self, name: &str) -> Result<(), CacheError> {
        self.0.remove(name)
    }

    /// The reason of a failure after this time. The time of a mark is that of the kernel's last tick, so a
    /// failure in the first milliseconds may go unseen.
    pub(crate) fn since(&self, name: &str, time: SystemTime) -> Result<Option<String>, CacheError> {
        if self.0.time(name).is_some_and(|failed| failed > time) {
            self.0.read(name)
        } else {
            Ok(None)
        }
    }
}
