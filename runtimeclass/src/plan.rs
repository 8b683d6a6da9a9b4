//! Where a node's containerd reads the runtime's entry from, and what has to stand there.

mod rancher;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item};

use crate::distribution::Distribution;
use crate::entry::{self, EntryError};
use crate::node::NodeRoot;
use crate::schema::{Schema, SchemaError};

/// containerd's own configuration.
pub const MAIN: &str = "/etc/containerd/config.toml";

/// The folder that the default configuration imports from containerd 2.2.
pub const CONF_D: &str = "/etc/containerd/conf.d";

/// The name of a drop-in.
pub const DROP_IN: &str = "coracle.toml";

const MICROK8S: &str = "/var/snap/microk8s/current/args/containerd-template.toml";
const K0S: &str = "/etc/k0s/containerd.toml";
const K0S_DROP_INS: &str = "/etc/k0s/containerd.d";

/// In the first lines of a configuration that k0s writes itself; it merges its drop-ins only into that one.
const K0S_MANAGED: &str = "k0s_managed=true";

/// What kind of file holds the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The main file, in which other things stand too.
    MainFile,
    /// A file of its own, which the main file imports.
    DropIn,
    /// A template from which the distribution writes the main file.
    Template,
}

/// What has to be true of a node for the runtime to be known.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kind of file.
    pub place: Place,
    /// The schema in which the entry is written.
    pub schema: Schema,
    /// The file, as the node names it.
    pub path: PathBuf,
    /// What stands there now.
    pub before: Option<Vec<u8>>,
    /// What has to stand there.
    pub after: Vec<u8>,
    /// The main file that containerd reads, where it can be asked for its opinion before anything is changed.
    pub main: Option<PathBuf>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is no text.
    #[error("{path} is not UTF-8")]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// A configuration has a schema that is not known.
    #[error("cannot edit {path}")]
    Schema {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SchemaError,
    },
    /// A configuration cannot take the entry.
    #[error("cannot edit {path}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// The distribution writes this file when it starts, and has not.
    #[error("{path} is missing: {distribution} writes it when it starts, and has not started here")]
    NotStarted {
        /// The file.
        path: PathBuf,
        /// Which one.
        distribution: Distribution,
    },
    /// Somebody has written an entry by hand into a template, which cannot be edited as TOML.
    #[error("{path} has an entry `runtimes.coracle` that was written by hand; remove it first")]
    ByHand {
        /// The template.
        path: PathBuf,
    },
}

impl Plan {
    /// The plan for `node`. `main`: containerd's configuration where it is not the distribution's; `program`:
    /// the shim's full path where containerd does not find it by name.
    ///
    /// # Errors
    /// When the configuration cannot be read or cannot take the entry.
    pub fn of(
        node: &NodeRoot,
        distribution: Distribution,
        main: Option<&Path>,
        program: Option<&Path>,
    ) -> Result<Self, PlanError> {
        let started = |path: &Path| PlanError::NotStarted {
            path: path.to_owned(),
            distribution,
        };
        if let Some(main) = main {
            return ordinary(node, main, program);
        }
        match distribution {
            Distribution::K3s | Distribution::Rke2 => rancher::plan(node, distribution, program),
            Distribution::MicroK8s => {
                let path = Path::new(MICROK8S);
                let text = text(node, path)?.ok_or_else(|| started(path))?;
                // The template is TOML; `${SNAP}` in it is replaced later, so containerd cannot check it.
                let plan = in_main_file(path, &text, program)?;
                Ok(Self { main: None, ..plan })
            }
            Distribution::K0s => {
                let path = Path::new(K0S);
                let text = text(node, path)?.ok_or_else(|| started(path))?;
                if text.lines().take(5).any(|line| line.contains(K0S_MANAGED)) {
                    let (schema, _) = parsed(path, &text)?;
                    let plan = drop_in(node, Path::new(K0S_DROP_INS), schema, program)?;
                    return Ok(plan);
                }
                ordinary(node, path, program)
            }
            _ => ordinary(node, Path::new(MAIN), program),
        }
    }

    /// Whether the file is as it has to be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }
}

/// `bytes` without the entry; `None` where nothing else stands in a file of this kind.
///
/// # Errors
/// When the file has become unreadable as what it was.
pub fn without_entry(
    place: Place,
    path: &Path,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, PlanError> {
    let text = str::from_utf8(bytes).map_err(|_invalid| PlanError::NoText {
        path: path.to_owned(),
    })?;
    Ok(match place {
        Place::DropIn => None,
        Place::Template => rancher::without_block(text).map(String::into_bytes),
        Place::MainFile => {
            let (schema, mut document) = parsed(path, text)?;
            entry::remove(&mut document, schema);
            Some(document.to_string().into_bytes())
        }
    })
}

/// The configuration `text` with one more import, which is what a drop-in makes of it.
///
/// # Errors
/// When it cannot be parsed.
pub fn importing(text: &str, import: &Path) -> Result<String, PlanError> {
    let (_, mut document) = parsed(import, text)?;
    let imports = document
        .entry("imports")
        .or_insert(toml_edit::value(toml_edit::Array::new()));
    if let Some(imports) = imports.as_array_mut() {
        imports.push(import.to_string_lossy().as_ref());
    }
    Ok(document.to_string())
}

/// A containerd that reads `main`, or its built-in configuration where there is no such file.
fn ordinary(node: &NodeRoot, main: &Path, program: Option<&Path>) -> Result<Plan, PlanError> {
    let Some(text) = text(node, main)? else {
        if main == Path::new(MAIN) && node.has(CONF_D) {
            return drop_in(node, Path::new(CONF_D), Schema::V3, program);
        }
        // Every containerd since 1.3 reads version 2, and keeps its defaults for what a file does not say.
        return Ok(Plan {
            place: Place::MainFile,
            schema: Schema::V2,
            path: main.to_owned(),
            before: None,
            after: entry::alone(Schema::V2, program, true).into_bytes(),
            main: Some(main.to_owned()),
        });
    };
    let (schema, mut document) = parsed(main, &text)?;
    if schema.merges_imports()
        && !entry::is_in(&document)
        && let Some(folder) = imported_folder(&document, main)
    {
        // What makes the main file unfit makes the drop-in useless.
        entry::set(&mut document, schema, program).map_err(|source| unfit(main, source))?;
        let plan = drop_in(node, &folder, schema, program)?;
        return Ok(Plan {
            main: Some(main.to_owned()),
            ..plan
        });
    }
    in_main_file(main, &text, program)
}

fn in_main_file(path: &Path, text: &str, program: Option<&Path>) -> Result<Plan, PlanError> {
    let (schema, mut document) = parsed(path, text)?;
    entry::set(&mut document, schema, program).map_err(|source| unfit(path, source))?;
    Ok(Plan {
        place: Place::MainFile,
        schema,
        path: path.to_owned(),
        before: Some(text.as_bytes().to_owned()),
        after: document.to_string().into_bytes(),
        main: Some(path.to_owned()),
    })
}

fn drop_in(
    node: &NodeRoot,
    folder: &Path,
    schema: Schema,
    program: Option<&Path>,
) -> Result<Plan, PlanError> {
    let path = folder.join(DROP_IN);
    Ok(Plan {
        place: Place::DropIn,
        schema,
        before: node
            .read(&path)
            .map_err(|source| unreadable(&path, source))?,
        path,
        after: entry::alone(schema, program, true).into_bytes(),
        main: None,
    })
}

/// The first folder of which the configuration at `main` imports every `*.toml`.
fn imported_folder(document: &DocumentMut, main: &Path) -> Option<PathBuf> {
    document
        .get("imports")
        .and_then(Item::as_array)?
        .iter()
        .filter_map(|import| import.as_str())
        // An absolute import replaces what it is joined to.
        .map(|import| main.parent().unwrap_or(main).join(import))
        .find(|import| {
            import.file_name().is_some_and(|name| name == "*.toml")
                && !import
                    .parent()
                    .is_some_and(|folder| folder.to_string_lossy().contains(['*', '?', '[']))
        })
        .and_then(|import| import.parent().map(Path::to_owned))
}

fn text(node: &NodeRoot, path: &Path) -> Result<Option<String>, PlanError> {
    let bytes = node.read(path).map_err(|source| unreadable(path, source))?;
    bytes
        .map(|bytes| {
            String::from_utf8(bytes).map_err(|_invalid| PlanError::NoText {
                path: path.to_owned(),
            })
        })
        .transpose()
}

fn parsed(path: &Path, text: &str) -> Result<(Schema, DocumentMut), PlanError> {
    Schema::of(text).map_err(|source| PlanError::Schema {
        path: path.to_owned(),
        source,
    })
}

fn unreadable(path: &Path, source: io::Error) -> PlanError {
    PlanError::Read {
        path: path.to_owned(),
        source,
    }
}

fn unfit(path: &Path, source: EntryError) -> PlanError {
    PlanError::Entry {
        path: path.to_owned(),
        source,
    }
}
