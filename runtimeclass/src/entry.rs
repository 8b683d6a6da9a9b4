//! The runtime's entry in containerd's configuration.

use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, value};

use crate::schema::Schema;

/// The name of the runtime's entry, which a RuntimeClass calls its handler.
pub const HANDLER: &str = "coracle";

/// The runtime's type; containerd derives the name of the shim's program from it.
pub const RUNTIME_TYPE: &str = "io.containerd.coracle.v1";

/// The pod annotations that reach the shim.
pub const POD_ANNOTATIONS: &str = "coracle.dev/*";

/// Why the entry cannot be written into a configuration.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A key on the way to the entry is no table.
    #[error("key `{key}` is no table")]
    NoTable {
        /// The key, with the keys above it.
        key: String,
    },
    /// The entry's name belongs to another runtime.
    #[error("runtime `coracle` has runtime_type {found}; accepted: \"{RUNTIME_TYPE}\"")]
    Taken {
        /// The type that stands there.
        found: String,
    },
    /// CRI is switched off in this configuration.
    #[error("key `disabled_plugins` names \"{plugin}\": without it containerd serves no pods")]
    CriDisabled {
        /// The plugin that is switched off.
        plugin: String,
    },
}

/// Sets the runtime's entry in `document`. `program` is the shim's full path where containerd does not find
/// it by name. Returns whether anything changed; what the user added to the entry stays.
///
/// # Errors
/// When CRI is disabled, a key is not a table, or the name belongs to another runtime.
pub fn set(
    document: &mut DocumentMut,
    schema: Schema,
    program: Option<&Path>,
) -> Result<bool, EntryError> {
    refuse_without_cri(document)?;
    let before = document.to_string();
    let runtimes = table(document, schema)?;
    if runtimes.get(HANDLER).is_none() {
        runtimes.insert(HANDLER, Item::Table(Table::new()));
    }
    let entry = runtimes
        .get_mut(HANDLER)
        .and_then(Item::as_table_like_mut)
        .ok_or_else(|| EntryError::NoTable {
            key: HANDLER.to_owned(),
        })?;
    if let Some(found) = entry.get("runtime_type")
        && found.as_str() != Some(RUNTIME_TYPE)
    {
        return Err(EntryError::Taken {
            found: found.to_string().trim().to_owned(),
        });
    }
    set_string(entry, "runtime_type", RUNTIME_TYPE);
    match program {
        Some(program) => set_string(entry, "runtime_path", &program.to_string_lossy()),
        None => drop(entry.remove("runtime_path")),
    }
    set_annotations(entry);
    Ok(document.to_string() != before)
}

/// Removes the entry. Returns whether there was one.
pub fn remove(document: &mut DocumentMut, schema: Schema) -> bool {
    runtimes_of(document, schema).is_some_and(|runtimes| runtimes.remove(HANDLER).is_some())
}

/// Whether a configuration, as a file or as containerd's dump, has the entry.
#[must_use]
pub fn is_in(document: &DocumentMut) -> bool {
    [Schema::V2, Schema::V3].into_iter().any(|schema| {
        let entry = path(schema)
            .into_iter()
            .chain([HANDLER])
            .try_fold(document.as_item(), |item, key| item.get(key));
        entry
            .and_then(|entry| entry.get("runtime_type"))
            .and_then(Item::as_str)
            == Some(RUNTIME_TYPE)
    })
}

/// A file of its own with the entry alone, for a folder of imports. `versioned`: whether it states the schema.
#[must_use]
pub fn alone(schema: Schema, program: Option<&Path>, versioned: bool) -> String {
    let version = if versioned {
        format!("version = {}\n\n", schema.number())
    } else {
        String::new()
    };
    let plugin = schema.plugin();
    let path = program.map_or_else(String::new, |program| {
        format!(
            "runtime_path = {}\n",
            value(program.to_string_lossy().as_ref())
        )
    });
    format!(
        "{version}[plugins.\"{plugin}\".containerd.runtimes.{HANDLER}]\n\
         runtime_type = \"{RUNTIME_TYPE}\"\n{path}pod_annotations = [\"{POD_ANNOTATIONS}\"]\n"
    )
}

fn path(schema: Schema) -> [&'static str; 4] {
    ["plugins", schema.plugin(), "containerd", "runtimes"]
}

fn table(document: &mut DocumentMut, schema: Schema) -> Result<&mut dyn TableLike, EntryError> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    let mut way = String::new();
    for key in path(schema) {
        way = format!("{way}{}{key}", if way.is_empty() { "" } else { "." });
        if table.get(key).is_none() {
            let mut made = Table::new();
            made.set_implicit(true);
            table.insert(key, Item::Table(made));
        }
        table = table
            .get_mut(key)
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| EntryError::NoTable { key: way.clone() })?;
    }
    Ok(table)
}

fn runtimes_of(document: &mut DocumentMut, schema: Schema) -> Option<&mut dyn TableLike> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in path(schema) {
        table = table.get_mut(key)?.as_table_like_mut()?;
    }
    Some(table)
}

fn refuse_without_cri(document: &DocumentMut) -> Result<(), EntryError> {
    const CRI: [&str; 4] = [
        "cri",
        "io.containerd.grpc.v1.cri",
        "io.containerd.cri.v1.runtime",
        "io.containerd.cri.v1.images",
    ];
    let disabled = document.get("disabled_plugins").and_then(Item::as_array);
    let named = disabled
        .into_iter()
        .flatten()
        .filter_map(toml_edit::Value::as_str)
        .find(|plugin| CRI.contains(plugin));
    match named {
        Some(plugin) => Err(EntryError::CriDisabled {
            plugin: plugin.to_owned(),
        }),
        None => Ok(()),
    }
}

fn set_string(entry: &mut dyn TableLike, key: &str, wanted: &str) {
    if entry.get(key).and_then(Item::as_str) != Some(wanted) {
        entry.insert(key, value(wanted));
    }
}

fn set_annotations(entry: &mut dyn TableLike) {
    const KEY: &str = "pod_annotations";
    if entry.get(KEY).and_then(Item::as_array).is_none() {
        entry.insert(KEY, value(Array::new()));
    }
    if let Some(list) = entry.get_mut(KEY).and_then(Item::as_array_mut)
        && !list.iter().any(|one| one.as_str() == Some(POD_ANNOTATIONS))
    {
        list.push(POD_ANNOTATIONS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str) -> Result<String, EntryError> {
        let (schema, mut document) = Schema::of(text).unwrap();
        set(&mut document, schema, None)?;
        assert!(is_in(&document));
        assert!(
            !set(&mut document, schema, None)?,
            "a second time changes nothing"
        );
        Ok(document.to_string())
    }

    #[test]
    fn comments_and_other_runtimes_stay() {
        let text = "# mine\nversion = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\"] # cri\n  sandbox_image = \"pause:9\"\n";
        let after = edited(text).unwrap();
        assert_eq!(after, format!("{text}\n{}", alone(Schema::V2, None, false)));
    }

    #[test]
    fn what_a_user_added_to_the_entry_stays() {
        let text = "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.coracle]\nruntime_type = \"io.containerd.coracle.v1\"\nsnapshotter = \"native\"\npod_annotations = [\"mine\"]\n";
        let after = edited(text).unwrap();
        assert!(after.contains("snapshotter = \"native\""));
        assert!(after.contains("pod_annotations = [\"mine\", \"coracle.dev/*\"]"));
    }

    #[test]
    fn a_runtime_of_another_type_under_this_name_is_refused() {
        let text = "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.coracle]\nruntime_type = \"io.containerd.runc.v2\"\n";
        let refused = edited(text).unwrap_err().to_string();
        assert_eq!(
            refused,
            "runtime `coracle` has runtime_type \"io.containerd.runc.v2\"; accepted: \"io.containerd.coracle.v1\""
        );
    }

    #[test]
    fn a_configuration_without_cri_is_refused() {
        let refused = edited("version = 2\ndisabled_plugins = [\"cri\"]\n").unwrap_err();
        assert!(refused.to_string().contains("\"cri\""));
    }

    #[test]
    fn the_entry_of_a_file_of_its_own_is_found() {
        let text = alone(Schema::V4, Some(Path::new("/opt/coracle/bin/shim")), true);
        let (schema, document) = Schema::of(&text).unwrap();
        assert_eq!(schema, Schema::V4);
        assert!(is_in(&document));
        assert!(text.contains("runtime_path = \"/opt/coracle/bin/shim\""));
    }
}
