//! The OCI spec of a container: what `ctr run` writes, under the node's own cgroup.

use std::collections::HashSet;

use anyhow::Result;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespace, LinuxNamespaceBuilder,
    LinuxNamespaceType, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompBuilder, LinuxSyscallBuilder,
    Mount, MountBuilder, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    get_default_maskedpaths, get_default_mounts, get_default_namespaces,
    get_default_readonly_paths,
};
use prost_types::Any;

use super::Container;
use crate::image::Image;

/// What containerd calls a spec in its database.
const TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// Found on the PATH of containers whose image sets none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What containerd grants by default.
const CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

pub(super) fn spec(container: &Container<'_>, image: &Image) -> Result<Any> {
    let spec = SpecBuilder::default()
        .version("1.0.2")
        .process(process(container, image)?)
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(false)
                .build()?,
        )
        .hostname(&container.id)
        .mounts(mounts(container)?)
        .annotations(container.annotations.clone())
        .linux(
            LinuxBuilder::default()
                .namespaces(namespaces(container)?)
                .cgroups_path(container.node.layout().container_cgroup(&container.id))
                .masked_paths(get_default_maskedpaths())
                .readonly_paths(get_default_readonly_paths())
                .build()?,
        )
        .build()?;
    let mut spec = spec;
    if let (Some(call), Some(linux)) = (&container.forbidden_call, spec.linux_mut()) {
        linux.set_seccomp(Some(all_but(call)?));
    }
    encode(&spec)
}

/// A profile that answers one system call with EPERM, which is the default answer.
fn all_but(call: &str) -> Result<LinuxSeccomp> {
    let rule = LinuxSyscallBuilder::default()
        .names([call.to_owned()])
        .action(LinuxSeccompAction::ScmpActErrno)
        .build()?;
    Ok(LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .syscalls([rule])
        .build()?)
}

fn encode(spec: &Spec) -> Result<Any> {
    Ok(Any {
        type_url: TYPE.to_owned(),
        value: serde_json::to_vec(spec)?,
    })
}

fn process(container: &Container<'_>, image: &Image) -> Result<oci_spec::runtime::Process> {
    let words = container.words.clone().unwrap_or_else(|| {
        let args = container.args.as_ref().unwrap_or(&image.process.cmd);
        image
            .process
            .entrypoint
            .iter()
            .chain(args)
            .cloned()
            .collect()
    });
    let mut env = vec![PATH.to_owned()];
    env.extend(image.process.env.iter().chain(&container.env).cloned());
    let usual = || HashSet::from(CAPABILITIES);
    let granted = container.capabilities.clone().unwrap_or_else(usual);
    let inherited = HashSet::new();
    let (user, group) = container.user.unwrap_or_default();
    Ok(ProcessBuilder::default()
        .cwd("/")
        .args(words)
        .env(env)
        .no_new_privileges(true)
        .user(UserBuilder::default().uid(user).gid(group).build()?)
        .capabilities(
            LinuxCapabilitiesBuilder::default()
                .bounding(granted.clone())
                .effective(granted.clone())
                .permitted(granted)
                .inheritable(inherited.clone())
                .ambient(inherited)
                .build()?,
        )
        .build()?)
}

/// The usual mounts without the cgroup file system, then the container's own.
fn mounts(container: &Container<'_>) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = get_default_mounts()
        .into_iter()
        .filter(|mount| mount.typ().as_deref() != Some("cgroup"))
        .collect();
    for mount in &container.mounts {
        let access = if mount.writable { "rw" } else { "ro" };
        mounts.push(
            MountBuilder::default()
                .typ("bind")
                .source(&mount.source)
                .destination(&mount.target)
                .options(["rbind", access].map(str::to_owned))
                .build()?,
        );
    }
    Ok(mounts)
}

/// New ones of every kind but cgroup, as `ctr` does on cgroup v1, and but those that are shared.
fn namespaces(container: &Container<'_>) -> Result<Vec<LinuxNamespace>> {
    let is_new = |kind| match kind {
        LinuxNamespaceType::Cgroup => false,
        LinuxNamespaceType::Pid => !container.shares_processes,
        _ => true,
    };
    get_default_namespaces()
        .into_iter()
        .filter(|namespace| is_new(namespace.typ()))
        .map(|namespace| {
            Ok(LinuxNamespaceBuilder::default()
                .typ(namespace.typ())
                .build()?)
        })
        .collect()
}
