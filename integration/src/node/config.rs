//! What containerd and the CNI plugins are told.

use std::fs;

use anyhow::Result;
use serde_json::json;

use super::driver::Driver;
use super::layout::Layout;

/// The name of the image that CRI makes sandboxes of; the harness imports it when the node starts.
pub const PAUSE_IMAGE: &str = "coracle.test/pause:1";

/// Where Debian's `containernetworking-plugins` puts the plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The pods' addresses. Every node has a network namespace of its own, so all may use the same ones.
const SUBNET: &str = "10.88.0.0/16";

pub(super) fn write(layout: &Layout, snapshotter: &str) -> Result<()> {
    fs::write(layout.config(), containerd(layout, snapshotter))?;
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "coracle",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": layout.addresses(),
                    "ranges": [[{ "subnet": SUBNET }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
        ],
    });
    fs::write(
        layout.cni().join("10-coracle.conflist"),
        serde_json::to_vec_pretty(&network)?,
    )?;
    Ok(())
}

/// `restrict_oom_score_adj`: root without `CAP_SYS_RESOURCE` cannot write the negative scores that CRI asks for.
fn containerd(layout: &Layout, snapshotter: &str) -> String {
    let root = layout.root();
    let state = layout.state();
    let socket = layout.socket();
    let cni = layout.cni();
    let drivers = drivers(layout.driver());
    format!(
        r#"version = 2
root = {root:?}
state = {state:?}
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = {socket:?}

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_hugetlb_controller = true
tolerate_missing_hugetlb_controller = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = {cni:?}

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.coracle]
runtime_type = "io.containerd.coracle.v1"
pod_annotations = ["coracle.dev/*"]

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.coracle-runwasi]
runtime_type = "io.containerd.coracle-runwasi.v1"
pod_annotations = ["coracle.dev/*"]
{drivers}"#
    )
}

/// containerd 1.6 knows the options of runc alone; to another shim it can name a file, and the shim reads none.
fn drivers(driver: Driver) -> &'static str {
    match driver {
        Driver::Cgroupfs => "",
        Driver::Systemd => {
            r#"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
"#
        }
    }
}
