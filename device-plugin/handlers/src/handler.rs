//! What a discovery handler has to say for itself.

use coracle_akri_protocol::{Device, Properties};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Details or properties that cannot be meant: the Agent is told, and the Configuration says so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Invalid {
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// The handler cannot look at present; it is asked again in the next round.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Failed {
    /// What could not be done.
    pub reason: String,
}

/// A discovery handler.
pub trait Handler {
    /// What the details of one Configuration ask for.
    type Query;

    /// Understands the details and properties of a Configuration. It is asked once for each.
    ///
    /// # Errors
    /// When they cannot be meant.
    fn query(&self, details: &str, properties: &Properties) -> Result<Self::Query, Invalid>;

    /// All devices that are there now. It is asked in each round, so it has to be cheap.
    ///
    /// # Errors
    /// When the handler cannot look; an empty list means that it looked, and there are none.
    fn devices(&self, query: &Self::Query) -> Result<Vec<Device>, Failed>;
}

/// Details in YAML, of which JSON is a part.
///
/// # Errors
/// When they do not fit the type: the reason says where.
pub fn details<T: DeserializeOwned>(details: &str) -> Result<T, Invalid> {
    serde_norway::from_str(details).map_err(|error| Invalid {
        reason: format!("the discovery details do not fit: {error}"),
    })
}
