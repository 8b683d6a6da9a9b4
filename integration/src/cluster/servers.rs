//! The programs of a cluster: which there are, and what they are told.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::credentials::Credentials;
use super::programs::Programs;
use super::{DNS_ADDRESS, NODE_ADDRESS, NODE_NAME};
use crate::node::Layout;

/// Where the API server listens.
pub(super) const API: SocketAddr = SocketAddr::new(NODE_ADDRESS, 6443);

/// Where etcd listens, in the node's own network.
const ETCD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2379);

/// More than the hundred pods that the node is tested with.
const PODS: u32 = 150;

/// A service of the node, and its command.
pub(super) type Server = (&'static str, Vec<String>);

/// What the commands are made of.
pub(super) struct Servers<'c> {
    pub(super) layout: &'c Layout,
    pub(super) programs: &'c Programs,
    pub(super) credentials: &'c Credentials,
}

impl Servers<'_> {
    /// What everything else waits for.
    pub(super) fn first(&self) -> Vec<Server> {
        vec![self.etcd(), self.api_server()]
    }

    /// What runs as soon as the API server answers.
    pub(super) fn second(&self) -> Result<Vec<Server>> {
        let admin = self.credentials.kubeconfig("admin.conf", "admin", API)?;
        let node = self.credentials.kubeconfig("node.conf", NODE_NAME, API)?;
        Ok(vec![
            self.controller_manager(&admin),
            self.scheduler(&admin),
            self.proxy(&admin),
            self.kubelet(&node)?,
            self.dns(&admin)?,
        ])
    }

    fn etcd(&self) -> Server {
        let command = vec![
            "etcd".to_owned(),
            flag("data-dir", self.layout.folder().join("etcd").display()),
            flag("listen-client-urls", format!("http://{ETCD}")),
            flag("advertise-client-urls", format!("http://{ETCD}")),
            flag("listen-peer-urls", "http://127.0.0.1:2380"),
            // Nothing here outlives the process that the data would have to outlive.
            "--unsafe-no-fsync".to_owned(),
        ];
        ("etcd", command)
    }

    fn api_server(&self) -> Server {
        let files = self.credentials;
        let arguments = vec![
            flag("etcd-servers", format!("http://{ETCD}")),
            flag("bind-address", API.ip()),
            flag("advertise-address", API.ip()),
            flag("secure-port", API.port()),
            flag("cert-dir", files.server().display()),
            flag("token-auth-file", files.tokens().display()),
            flag("authorization-mode", "Node,RBAC"),
            flag("service-account-issuer", "https://kubernetes.default.svc"),
            flag(
                "service-account-key-file",
                files.service_account_public_key().display(),
            ),
            flag(
                "service-account-signing-key-file",
                files.service_account_key().display(),
            ),
            flag("service-cluster-ip-range", "10.96.0.0/16"),
            flag("allow-privileged", true),
            flag("kubelet-preferred-address-types", "InternalIP"),
        ];
        self.kubernetes("kube-apiserver", arguments)
    }

    fn controller_manager(&self, admin: &Path) -> Server {
        let arguments = vec![
            flag("kubeconfig", admin.display()),
            flag(
                "service-account-private-key-file",
                self.credentials.service_account_key().display(),
            ),
            flag("root-ca-file", self.credentials.authority().display()),
            flag("leader-elect", false),
            flag("kube-api-qps", 200),
            flag("kube-api-burst", 400),
        ];
        self.kubernetes("kube-controller-manager", arguments)
    }

    fn scheduler(&self, admin: &Path) -> Server {
        let arguments = vec![
            flag("kubeconfig", admin.display()),
            flag("leader-elect", false),
            flag("kube-api-qps", 200),
            flag("kube-api-burst", 400),
        ];
        self.kubernetes("kube-scheduler", arguments)
    }

    /// The three sysctls that a proxy would set are read-only in some containers; zero leaves them alone.
    fn proxy(&self, admin: &Path) -> Server {
        let arguments = vec![
            flag("kubeconfig", admin.display()),
            flag("hostname-override", NODE_NAME),
            flag("proxy-mode", "iptables"),
            // Pods share a bridge: an answer must come back by the node, or it bypasses the translation.
            flag("masquerade-all", true),
            flag("conntrack-max-per-core", 0),
            flag("conntrack-tcp-timeout-established", 0),
            flag("conntrack-tcp-timeout-close-wait", 0),
        ];
        self.kubernetes("kube-proxy", arguments)
    }

    fn kubelet(&self, node: &Path) -> Result<Server> {
        let folder = self.layout.folder();
        let config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
            "authorization": { "mode": "AlwaysAllow" },
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.layout.cgroup_parent(),
            "containerRuntimeEndpoint": format!("unix://{}", self.layout.socket().display()),
            "failSwapOn": false,
            "failCgroupV1": false,
            "resolvConf": "",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "maxPods": PODS,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "serializeImagePulls": false,
            // The machine is shared with whoever runs the tests.
            "evictionHard": {
                "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "volumePluginDir": folder.join("volume-plugins"),
            "podLogsDir": self.layout.pod_logs(),
            // Else a node that was restarted or drained is believed lost for a long time.
            "nodeStatusUpdateFrequency": "2s",
        });
        let path = folder.join("kubelet.json");
        fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
        let arguments = vec![
            flag("config", path.display()),
            flag("kubeconfig", node.display()),
            flag("hostname-override", NODE_NAME),
            flag("node-ip", NODE_ADDRESS),
            flag("cert-dir", folder.join("kubelet-certificates").display()),
        ];
        Ok(self.kubernetes("kubelet", arguments))
    }

    fn dns(&self, admin: &Path) -> Result<Server> {
        let path = self.layout.folder().join("Corefile");
        let corefile = format!(
            ".:53 {{\n    bind {NODE_ADDRESS}\n    errors\n    kubernetes cluster.local {{\n        \
             kubeconfig {}\n        ttl 1\n    }}\n}}\n",
            admin.display()
        );
        fs::write(&path, corefile)?;
        let command = vec![
            text(self.programs.coredns()),
            "-conf".to_owned(),
            text(&path),
        ];
        Ok(("coredns", command))
    }

    fn kubernetes(&self, name: &'static str, arguments: Vec<String>) -> Server {
        let program: PathBuf = self.programs.kubernetes(name);
        let command = std::iter::once(text(&program)).chain(arguments).collect();
        (name, command)
    }
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
