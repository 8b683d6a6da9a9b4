//! k3s and RKE2, which write containerd's configuration from a template at every start.

use std::path::{Path, PathBuf};

use super::{Place, Plan, PlanError, drop_in, imported_folder, parsed, text};
use crate::distribution::Distribution;
use crate::entry;
use crate::node::NodeRoot;
use crate::schema::Schema;

const BEGIN: &str = "# coracle: begin (coracle-node-installer)\n";
const END: &str = "# coracle: end\n";

/// What a template of our own starts with: everything that would have been written without one.
const BASE: &str = "{{ template \"base\" . }}\n";

/// The drop-in folder where the configuration imports one, else the template of its schema.
pub(super) fn plan(
    node: &NodeRoot,
    distribution: Distribution,
    program: Option<&Path>,
) -> Result<Plan, PlanError> {
    let folder = PathBuf::from(format!(
        "/var/lib/rancher/{distribution}/agent/etc/containerd"
    ));
    let rendered = folder.join("config.toml");
    let written = text(node, &rendered)?.ok_or_else(|| PlanError::NotStarted {
        path: rendered.clone(),
        distribution,
    })?;
    let (schema, document) = parsed(&rendered, &written)?;
    if schema.merges_imports()
        && let Some(imported) = imported_folder(&document, &rendered)
    {
        let plan = drop_in(node, &imported, schema, program)?;
        return Ok(Plan {
            main: Some(rendered),
            ..plan
        });
    }
    let name = match schema {
        Schema::V2 => "config.toml.tmpl",
        Schema::V3 | Schema::V4 => "config-v3.toml.tmpl",
    };
    let path = folder.join(name);
    let before = text(node, &path)?;
    let rest = match &before {
        Some(template) => without_block(template).unwrap_or_else(|| BASE.to_owned()),
        None => BASE.to_owned(),
    };
    if rest.contains(".runtimes.coracle]") {
        return Err(PlanError::ByHand { path });
    }
    let newline = if rest.ends_with('\n') { "" } else { "\n" };
    let block = entry::alone(schema, program, false);
    Ok(Plan {
        place: Place::Template,
        schema,
        path,
        before: before.map(String::into_bytes),
        after: format!("{rest}{newline}{BEGIN}{block}{END}").into_bytes(),
        main: None,
    })
}

/// `template` without our lines; `None` where it has nothing that would not be there without a template.
pub(super) fn without_block(template: &str) -> Option<String> {
    let rest = match (template.split_once(BEGIN), template.rsplit_once(END)) {
        (Some((above, _)), Some((_, below))) => format!("{above}{below}"),
        _ => template.to_owned(),
    };
    (rest != BASE).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_somebody_else_loses_only_our_lines() {
        let template = format!("{BASE}# mine\n{BEGIN}x = 1\n{END}# below\n");
        assert_eq!(
            without_block(&template),
            Some(format!("{BASE}# mine\n# below\n"))
        );
    }
}
