//! What a handler is told when it is started: arguments, and for each of them an environment variable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The arguments cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OptionsError {
    /// There is no such option.
    #[error("no option `{word}`; the options are {known}")]
    Unknown {
        /// What was given.
        word: String,
        /// What could have been.
        known: String,
    },
    /// An option is the last word.
    #[error("`{option}` needs a value")]
    NoValue {
        /// Which.
        option: String,
    },
    /// The period is no number, or none that makes sense.
    #[error("`{value}` is no period: whole milliseconds, from 10 to 3600000")]
    Period {
        /// What was given.
        value: String,
    },
}

/// The options of one handler: the two that all have, and its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder that is shared with the proxy.
    pub exchange: PathBuf,
    /// How long the handler rests between two rounds.
    pub period: Duration,
    own: BTreeMap<&'static str, String>,
}

const EXCHANGE: &str = "--exchange";
const PERIOD: &str = "--period-ms";

impl Options {
    /// Reads the words after the program's name. `own` has the handler's own options, with what they are unless
    /// given. An option that is not given is looked for in the environment: `--period-ms` as `PERIOD_MS`.
    ///
    /// # Errors
    /// When a word is no option, or a value makes no sense.
    pub fn read(
        words: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
        own: &[(&'static str, &str)],
    ) -> Result<Self, OptionsError> {
        let common = [(EXCHANGE, "/exchange"), (PERIOD, "1000")];
        let mut values: BTreeMap<&'static str, String> = common
            .iter()
            .chain(own)
            .map(|(name, default)| {
                let set = variable(&variable_of(name));
                (*name, set.unwrap_or_else(|| (*default).to_owned()))
            })
            .collect();
        let known = values.keys().copied().collect::<Vec<_>>().join(", ");
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let Some(value) = values.get_mut(name) else {
                return Err(OptionsError::Unknown { word, known });
            };
            let Some(given) = attached.or_else(|| words.next()) else {
                return Err(OptionsError::NoValue { option: word });
            };
            *value = given;
        }
        let exchange = values.remove(EXCHANGE).unwrap_or_default().into();
        let period = period(&values.remove(PERIOD).unwrap_or_default())?;
        Ok(Self {
            exchange,
            period,
            own: values,
        })
    }

    /// The value of one of the handler's own options.
    #[must_use]
    pub fn own(&self, name: &str) -> &str {
        self.own.get(name).map_or("", String::as_str)
    }
}

fn variable_of(option: &str) -> String {
    let name = option.trim_start_matches('-').replace('-', "_");
    name.to_ascii_uppercase()
}

fn period(value: &str) -> Result<Duration, OptionsError> {
    let milliseconds = value.parse().ok();
    milliseconds
        .filter(|milliseconds| (10..=3_600_000).contains(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| OptionsError::Period {
            value: value.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options, OptionsError> {
        let words = words.iter().map(|word| (*word).to_owned());
        let variable = |name: &str| (name == "PERIOD_MS").then(|| "50".to_owned());
        Options::read(words, variable, &[("--sysfs", "/sys")])
    }

    #[test]
    fn arguments_go_before_variables_and_variables_before_defaults() {
        let options = read(&[]).unwrap();
        assert_eq!(options.exchange, PathBuf::from("/exchange"));
        assert_eq!(options.period, Duration::from_millis(50));
        assert_eq!(options.own("--sysfs"), "/sys");
        let options = read(&["--period-ms=20", "--sysfs", "/host/sys"]).unwrap();
        assert_eq!(options.period, Duration::from_millis(20));
        assert_eq!(options.own("--sysfs"), "/host/sys");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let said = |words: &[&str]| read(words).unwrap_err().to_string();
        assert_eq!(
            said(&["--nosuch"]),
            "no option `--nosuch`; the options are --exchange, --period-ms, --sysfs"
        );
        assert_eq!(said(&["--sysfs"]), "`--sysfs` needs a value");
        assert_eq!(
            said(&["--period-ms", "1s"]),
            "`1s` is no period: whole milliseconds, from 10 to 3600000"
        );
    }
}
