//! The schema of containerd's configuration, and the plugin that holds the runtimes in it.

use toml_edit::DocumentMut;

/// The schema version that a configuration states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Schema {
    /// containerd 1.3 to 1.7; later ones migrate it.
    V2,
    /// containerd 2.0 to 2.2.
    V3,
    /// containerd 2.3.
    V4,
}

/// Why a configuration's schema is not one that can be edited.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is no TOML.
    #[error("not TOML")]
    Syntax(#[source] toml_edit::TomlError),
    /// The key is missing, which means version 1.
    #[error("key `version` is missing, which means version 1; accepted: 2, 3, 4")]
    Missing,
    /// The version is one that this program does not know.
    #[error("key `version` is {value}; accepted: 2, 3, 4")]
    Unknown {
        /// What stands there.
        value: String,
    },
}

impl Schema {
    /// Parses `text` and says which schema it states.
    ///
    /// # Errors
    /// When it is no TOML, or states no version, or an unknown one.
    pub fn of(text: &str) -> Result<(Self, DocumentMut), SchemaError> {
        let document: DocumentMut = text.parse().map_err(SchemaError::Syntax)?;
        let item = document.get("version").ok_or(SchemaError::Missing)?;
        let schema = match item.as_integer() {
            Some(2) => Self::V2,
            Some(3) => Self::V3,
            Some(4) => Self::V4,
            _ => {
                let value = item.to_string().trim().to_owned();
                return Err(SchemaError::Unknown { value });
            }
        };
        Ok((schema, document))
    }

    /// The number in the file.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
        }
    }

    /// The plugin that holds the runtimes.
    #[must_use]
    pub fn plugin(self) -> &'static str {
        match self {
            Self::V2 => "io.containerd.grpc.v1.cri",
            Self::V3 | Self::V4 => "io.containerd.cri.v1.runtime",
        }
    }

    /// Whether an imported file adds to a plugin's section.
    ///
    /// containerd 1.x replaces the whole section of the plugin by the imported one: the pause image, the CNI
    /// folders and every other runtime of the main file are lost. From 2.0 sections are merged. A version 2
    /// file may be read by either, so nothing is imported into it.
    #[must_use]
    pub fn merges_imports(self) -> bool {
        self > Self::V2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_is_refused_with_the_accepted_ones() {
        let refused = |text| Schema::of(text).unwrap_err().to_string();
        assert_eq!(
            refused("version = 7"),
            "key `version` is 7; accepted: 2, 3, 4"
        );
        assert_eq!(
            refused("version = \"2\""),
            "key `version` is \"2\"; accepted: 2, 3, 4"
        );
        assert!(refused("disabled_plugins = [\"cri\"]").starts_with("key `version` is missing"));
        assert_eq!(refused("version = = 2"), "not TOML");
    }
}
