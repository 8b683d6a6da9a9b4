//! Making a group of version 2, where each level hands its controllers down.

use std::path::Path;

use crate::{CgroupError, file, folders};

const HANDED_DOWN: &str = "cgroup.subtree_control";
const AVAILABLE: &str = "cgroup.controllers";

/// Makes the group at `path` below `root` with these controllers, as far as the levels above it can give
/// them. What is missing is found when a limit needs it.
pub(crate) fn make(root: &Path, path: &Path, controllers: &[String]) -> Result<(), CgroupError> {
    let folder = root.join(path);
    folders::make(root, path, |_| Ok(()))?;
    // A kubelet has prepared the levels above, so that this is all that there is to do.
    if missing(&folder.join(AVAILABLE), controllers)?.is_empty() {
        return Ok(());
    }
    let mut level = root.to_owned();
    for name in path {
        hand_down(&level, controllers)?;
        level.push(name);
    }
    Ok(())
}

fn hand_down(level: &Path, controllers: &[String]) -> Result<(), CgroupError> {
    let path = level.join(HANDED_DOWN);
    let missing = missing(&path, controllers)?;
    if missing.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
    if file::write(&path, &all.join(" ")).is_ok() {
        return Ok(());
    }
    // One that cannot be had must not take the others away.
    for one in all {
        if let Err(error) = file::write(&path, &one) {
            log::debug!(path:% = path.display(), error:% = error; "a controller is not handed down");
        }
    }
    Ok(())
}

fn missing<'a>(path: &Path, controllers: &'a [String]) -> Result<Vec<&'a str>, CgroupError> {
    let text = file::read(path)?;
    let present: Vec<&str> = text.split_whitespace().collect();
    let wanted = controllers.iter().map(String::as_str);
    Ok(wanted.filter(|name| !present.contains(name)).collect())
}
