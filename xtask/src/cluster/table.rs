//! `cargo xtask cluster table`: what the tests on a cluster show, as a table in the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use anyhow::{Context as _, bail};

use crate::build::{SHIM_FOLDER, cargo, root, target};
use crate::steps::{self, Steps};
use crate::{guests, prerequisites, programs};

/// By this variable the tests learn where to write what they have seen.
const RESULTS: &str = "CORACLE_CLUSTER_RESULTS";

/// The page, and the lines in it between which the table stands.
const PAGE: &str = "docs/kubernetes.md";
const BEGIN: &str = "<!-- table: written by `cargo xtask cluster table` -->\n";
const END: &str = "<!-- end of the table -->\n";

/// What was seen of one test: the reason for which it is expected to fail, or none, under each version.
#[derive(Default)]
struct Row {
    reason: Option<String>,
    versions: BTreeSet<String>,
}

pub(super) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::new(4);
    steps.step("install and build what is missing", || {
        prerequisites::install()?;
        super::prepare()
    })?;
    let shim = steps.step("build the shim and the compiler", programs::shim)?;
    steps.step("build the guests", || guests::build(&[]))?;
    let results = target().join("cluster-results");
    steps.step("run the tests", || {
        match fs::remove_file(&results) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut test = cargo("test");
        test.args(["--locked", "--package", "coracle-integration"])
            .args(["--test", "cluster"])
            .env(SHIM_FOLDER, &shim)
            .env(RESULTS, &results);
        steps::run(&mut test)
    })?;
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page)?;
    let table = table(&fs::read_to_string(results).context("the tests were skipped")?)?;
    let (before, rest) = text.split_once(BEGIN).context("no begin of the table")?;
    let (_, after) = rest.split_once(END).context("no end of the table")?;
    Ok(fs::write(
        page,
        format!("{before}{BEGIN}{table}{END}{after}"),
    )?)
}

/// Lines of test, outcome and version or reason, as Markdown.
fn table(results: &str) -> anyhow::Result<String> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for line in results.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            [test, "works", version] => {
                let row = rows.entry(test).or_default();
                row.versions.insert(version.to_owned());
            }
            [test, "not yet", reason] => {
                rows.entry(test).or_default().reason = Some(reason.to_owned());
            }
            _ => bail!("no result: {line:?}"),
        }
    }
    let versions: BTreeSet<&String> = rows.values().flat_map(|row| &row.versions).collect();
    let mut text = String::from("\n| | |");
    for version in &versions {
        text += &format!(" {version} |");
    }
    text += &format!("\n|---|---|{}\n", "---|".repeat(versions.len()));
    for (test, row) in &rows {
        let (part, fact) = test.split_once("::").unwrap_or(("", test));
        text += &format!("| {part} | {} |", fact.replace('_', " "));
        for version in &versions {
            text += &match (&row.reason, row.versions.contains(*version)) {
                (_, false) => " |".to_owned(),
                (None, true) => " yes |".to_owned(),
                (Some(reason), true) => format!(" not yet: {reason} |"),
            };
        }
        text += "\n";
    }
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_takes_the_place_of_a_success() {
        let results = "node::pods_live\tworks\tv1\nnode::exec_works\tnot yet\tno exec\n\
                       node::exec_works\tworks\tv1\n";
        let expected = "\n| | | v1 |\n|---|---|---|\n| node | exec works | not yet: no exec |\n\
                        | node | pods live | yes |\n\n";
        assert_eq!(table(results).unwrap(), expected);
    }
}
