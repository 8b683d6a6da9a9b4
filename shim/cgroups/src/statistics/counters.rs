//! Files with a counter a line.

use std::path::Path;

use crate::{CgroupError, file};

/// Numbers by name, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(Vec<(String, u64)>);

impl Counters {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, CgroupError> {
        let mut found = Vec::new();
        for line in text.lines() {
            let parts = line.split_once(' ');
            let number = parts.map(|(name, number)| Ok((name, file::number(path, number)?)));
            let Some((name, Some(number))) = number.transpose()? else {
                return Err(CgroupError::Form {
                    path: path.to_owned(),
                    found: line.to_owned(),
                    expected: "a name and a number",
                });
            };
            found.push((name.to_owned(), number));
        }
        Ok(Self(found))
    }

    /// The counter of this name, if this kernel has it.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u64> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| *value)
    }

    /// All counters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// A counter that every kernel has, or zero from one that has not.
    pub(super) fn or_zero(&self, name: &str) -> u64 {
        self.value(name).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let counters =
            Counters::parse(Path::new("x"), "anon 1\nfile 18446744073709551615\n").unwrap();
        assert_eq!(counters.value("file"), Some(u64::MAX));
        assert_eq!(counters.value("fil"), None);
        assert_eq!(
            counters.iter().collect::<Vec<_>>(),
            [("anon", 1), ("file", u64::MAX)]
        );
    }

    #[test]
    fn a_line_without_a_number_is_an_error() {
        for text in ["anon", "anon x", "anon -1", "anon max"] {
            assert!(Counters::parse(Path::new("x"), text).is_err(), "{text}");
        }
    }
}
