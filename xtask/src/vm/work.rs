//! What the machine is to do, written as a shell script into the folder that it shares with the host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Init, executables};
use crate::build;

/// Tests of one executable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Parts of names; all tests, where there are none.
    filters: Vec<String>,
    whole: bool,
}

/// The tests that are ignored everywhere but on this machine with systemd.
const SYSTEMD: [&str; 2] = ["installer_systemd", "systemd"];

/// The wanted tests of each executable, from words such as `native` and `wasm::guests::hello`.
pub(super) fn select(words: &[String]) -> BTreeMap<String, Selection> {
    let mut wanted: BTreeMap<String, Selection> = BTreeMap::new();
    for word in words {
        let (executable, filter) = word
            .split_once("::")
            .map_or((word.as_str(), None), |(executable, filter)| {
                (executable, Some(filter))
            });
        let selection = wanted.entry(executable.to_owned()).or_default();
        match filter {
            Some(filter) => selection.filters.push(filter.to_owned()),
            None => selection.whole = true,
        }
    }
    wanted
}

/// The names of the executables in `wanted`.
pub(super) fn names(wanted: &BTreeMap<String, Selection>) -> BTreeSet<&str> {
    wanted.keys().map(String::as_str).collect()
}

/// A script that runs the wanted tests one executable after the other, and fails when one of them does.
///
/// # Errors
/// When a path cannot stand in a script.
pub(super) fn tests(
    wanted: &BTreeMap<String, Selection>,
    executables: &BTreeMap<String, PathBuf>,
    arguments: &[String],
    init: Init,
) -> anyhow::Result<String> {
    let mut script = format!(
        "cd {}\nfailed=0\n",
        quoted(&path(&build::root().join("integration"))?)
    );
    for (name, selection) in wanted {
        let executable = executables
            .get(name)
            .with_context(|| format!("test {name} was not built"))?;
        let mut words = vec![quoted(&path(executable)?)];
        if !selection.whole {
            words.extend(selection.filters.iter().map(|filter| quoted(filter)));
        }
        words.extend(arguments.iter().map(|argument| quoted(argument)));
        if SYSTEMD.contains(&name.as_str()) && init == Init::Systemd {
            words.push("--ignored".to_owned());
        }
        // Of these only some are ignored elsewhere.
        if name == executables::GROUPS && init == Init::Systemd {
            words.push("--include-ignored".to_owned());
        }
        script += &format!(
            "echo 'coracle-vm: runs {name}'\n{} || failed=1\n",
            words.join(" ")
        );
    }
    script += "exit $failed\n";
    Ok(script)
}

/// Lines that set and export variables.
pub(super) fn environment(variables: &[(&str, String)]) -> String {
    variables
        .iter()
        .map(|(name, value)| format!("export {name}={}\n", quoted(value)))
        .collect()
}

/// A path as text.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn path(path: &Path) -> anyhow::Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("{} is not UTF-8", path.display()),
    }
}

/// One word of a shell, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_executable_stand_together() {
        let words = ["wasm::guests::hello", "native", "wasm::lifecycle"].map(str::to_owned);
        let wanted = select(&words);
        assert_eq!(names(&wanted), BTreeSet::from(["native", "wasm"]));
        let executables = BTreeMap::from([
            ("native".to_owned(), "/t/native-1".into()),
            ("wasm".to_owned(), "/t/wasm-1".into()),
        ]);
        let script = tests(
            &wanted,
            &executables,
            &["--skip".to_owned(), "js".to_owned()],
            Init::Plain,
        )
        .unwrap();
        assert!(
            script.contains("\n'/t/native-1' '--skip' 'js' || failed=1\n"),
            "{script}"
        );
        let both = "\n'/t/wasm-1' 'guests::hello' 'lifecycle' '--skip' 'js' || failed=1\n";
        assert!(script.contains(both), "{script}");
    }

    #[test]
    fn a_value_keeps_its_quotes() {
        assert_eq!(
            environment(&[("WORD", "it's".to_owned())]),
            "export WORD='it'\\''s'\n"
        );
    }
}
