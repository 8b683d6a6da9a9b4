//! Test executables of the harness and of the control groups, built and found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::build;
use crate::steps::run;

/// The tests of `coracle-cgroups`, which start a program of its examples.
pub(super) const GROUPS: &str = "groups";

/// Builds the named tests, and answers where they are.
///
/// # Errors
/// When the build fails, or has not produced one of them.
pub(super) fn build(names: &BTreeSet<&str>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut cargo = build::cargo("test");
    // Of the whole workspace, as `cargo xtask test` builds them: another selection of packages has other
    // features, and would compile everything once more.
    cargo
        .args(["--workspace", "--no-run", "--locked"])
        .arg("--message-format=json-render-diagnostics");
    for name in names {
        cargo.args(["--test", name]);
    }
    if names.contains(GROUPS) {
        let example = ["--package", "coracle-cgroups", "--example", "member"];
        run(build::cargo("build").args(example).arg("--locked"))?;
    }
    let built = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo")?;
    ensure!(built.status.success(), "the tests do not build");
    let messages = String::from_utf8(built.stdout)?;
    let executables: BTreeMap<String, PathBuf> = messages.lines().filter_map(executable).collect();
    for name in names {
        ensure!(
            executables.contains_key(*name),
            "cargo built no test {name}"
        );
    }
    Ok(executables)
}

/// Name and path of a test executable, where the message is about one.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message.pointer("/profile/test")?.as_bool()?;
    let name = message.pointer("/target/name")?.as_str()?;
    let path = message.get("executable")?.as_str()?;
    is_test.then(|| (name.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_executables_are_taken_from_cargos_messages() {
        let test = r#"{"target":{"name":"pods"},"profile":{"test":true},"executable":"/t/pods-1"}"#;
        assert_eq!(
            executable(test),
            Some(("pods".to_owned(), "/t/pods-1".into()))
        );
        let program =
            r#"{"target":{"name":"demo"},"profile":{"test":false},"executable":"/t/demo"}"#;
        assert_eq!(executable(program), None);
        assert_eq!(
            executable(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }
}
