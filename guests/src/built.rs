//! Finding the built file of a guest.

use std::path::PathBuf;

use thiserror::Error;

use crate::cache::{self, CacheError};
use crate::{Guest, catalogue, recipe};

/// There is no built file to give.
#[derive(Debug, Error)]
pub enum LookupError {
    /// No guest has this name.
    #[error("no guest is called `{name}`; the guests are the programs in guests/programs")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The guest was not built since its sources changed last.
    #[error("guest `{name}` is not built: run `cargo xtask guests`")]
    NotBuilt {
        /// The guest's name.
        name: &'static str,
    },
    /// The program of another package was not built since its sources changed last.
    #[error("program `{name}` is not built: run `{built_by}`")]
    ProgramNotBuilt {
        /// The program's name.
        name: &'static str,
        /// The command that builds it.
        built_by: &'static str,
    },
    /// The sources or the cache cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The built file of a guest's current sources: a core module or a component, by the guest's language.
///
/// # Errors
/// Where there is no such guest, where it is not built, and where the sources or the cache cannot be read.
pub fn built(name: &str) -> Result<PathBuf, LookupError> {
    let guest = find(name)?;
    let path = entry(guest)?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(LookupError::NotBuilt { name: guest.name })
    }
}

/// The guest of this name.
///
/// # Errors
/// [`LookupError::Unknown`] where there is none.
pub fn find(name: &str) -> Result<&'static Guest, LookupError> {
    let guest = catalogue().iter().find(|guest| guest.name == name);
    guest.ok_or_else(|| LookupError::Unknown {
        name: name.to_owned(),
    })
}

/// Where the built file of a guest's current sources is, or will be.
pub(crate) fn entry(guest: &Guest) -> Result<PathBuf, CacheError> {
    let hash = recipe::fingerprint(guest)?;
    Ok(cache::guests()?.join(format!("{}-{hash}.wasm", guest.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_guest_is_named() {
        let error = built("nosuch").unwrap_err().to_string();
        assert_eq!(
            error,
            "no guest is called `nosuch`; the guests are the programs in guests/programs"
        );
    }

    #[test]
    fn a_guest_that_is_not_built_is_named_with_the_remedy() {
        let error = LookupError::NotBuilt { name: "hello" }.to_string();
        assert_eq!(
            error,
            "guest `hello` is not built: run `cargo xtask guests`"
        );
    }

    #[test]
    fn two_guests_of_one_source_have_files_of_their_own() {
        let entry = |name: &str| recipe::fingerprint(find(name).unwrap()).unwrap();
        assert_ne!(entry("hello"), entry("hello_p2"));
    }
}
