//! Which Kubernetes distribution a node runs.

use std::fmt;

use crate::node::NodeRoot;

/// A distribution, as far as its containerd is configured in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Distribution {
    /// containerd as its own packages bring it; kubeadm and most managed clusters.
    Containerd,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// MicroK8s.
    #[value(name = "microk8s")]
    MicroK8s,
    /// k0s.
    K0s,
    /// kind.
    Kind,
    /// minikube.
    Minikube,
    /// Talos, whose nodes nobody can write to.
    Talos,
}

/// All of them.
pub const ALL: [Distribution; 8] = [
    Distribution::Containerd,
    Distribution::K3s,
    Distribution::Rke2,
    Distribution::MicroK8s,
    Distribution::K0s,
    Distribution::Kind,
    Distribution::Minikube,
    Distribution::Talos,
];

/// Why a node's distribution is not known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DistributionError {
    /// What was declared is not what was found.
    #[error("--distribution is {declared}, but the node has {found}")]
    Differs {
        /// What was declared.
        declared: Distribution,
        /// What was found.
        found: String,
    },
    /// Several were found.
    #[error("the node has {found}; say which one with --distribution")]
    Several {
        /// Their names.
        found: String,
    },
    /// None was found.
    #[error(
        "no containerd found below {root}: none of {looked} is there; is the node's root mounted there?"
    )]
    Nothing {
        /// The node's root.
        root: String,
        /// The traces that were looked for.
        looked: String,
    },
    /// Talos.
    #[error(
        "the node runs Talos, whose file system cannot be written. Install the shim as a system extension, and add to \
         the machine configuration a document of `kind: CRICustomizationConfig` with this `content`:\n{content}"
    )]
    Talos {
        /// The runtime's entry.
        content: String,
    },
}

impl Distribution {
    /// What on a node's file system tells that it is this one.
    #[must_use]
    pub fn traces(self) -> &'static [&'static str] {
        match self {
            Self::Containerd => &[
                "/etc/containerd",
                "/usr/bin/containerd",
                "/usr/local/bin/containerd",
            ],
            Self::K3s => &["/var/lib/rancher/k3s/agent"],
            Self::Rke2 => &["/var/lib/rancher/rke2/agent"],
            Self::MicroK8s => &["/var/snap/microk8s/current"],
            Self::K0s => &["/etc/k0s", "/var/lib/k0s"],
            Self::Kind => &["/kind"],
            Self::Minikube => &["/var/lib/minikube"],
            Self::Talos => &["/etc/os-release"],
        }
    }

    fn is_on(self, node: &NodeRoot) -> bool {
        match self {
            Self::Talos => matches!(
                node.read("/etc/os-release"),
                Ok(Some(text)) if String::from_utf8_lossy(&text).lines().any(|line| line.trim() == "ID=talos")
            ),
            _ => self.traces().iter().any(|trace| node.has(trace)),
        }
    }

    /// The distribution of `node`, which has to be the declared one where one is declared.
    ///
    /// # Errors
    /// When it is another one, none, one of several, or Talos.
    pub fn of(node: &NodeRoot, declared: Option<Self>) -> Result<Self, DistributionError> {
        // Several distributions keep an /etc/containerd too: the plain one is what remains.
        let mut found: Vec<Self> = ALL
            .into_iter()
            .filter(|one| *one != Self::Containerd && one.is_on(node))
            .collect();
        if found.is_empty() && Self::Containerd.is_on(node) {
            found.push(Self::Containerd);
        }
        let names = || {
            let names: Vec<_> = found.iter().map(ToString::to_string).collect();
            names.join(" and ")
        };
        let settled = match (declared, &found[..]) {
            (_, []) => return Err(nothing(node)),
            (Some(declared), found) if found.contains(&declared) => declared,
            (Some(declared), _) => {
                return Err(DistributionError::Differs {
                    declared,
                    found: names(),
                });
            }
            (None, [one]) => *one,
            (None, _) => return Err(DistributionError::Several { found: names() }),
        };
        match settled {
            Self::Talos => Err(DistributionError::Talos {
                content: crate::entry::alone(crate::schema::Schema::V3, None, false),
            }),
            other => Ok(other),
        }
    }

    /// The systemd units of which one runs this distribution's containerd; none where it restarts by itself.
    #[must_use]
    pub fn units(self) -> &'static [&'static str] {
        match self {
            Self::Containerd | Self::Kind | Self::Minikube => &["containerd.service"],
            Self::K3s => &["k3s.service", "k3s-agent.service"],
            Self::Rke2 => &["rke2-server.service", "rke2-agent.service"],
            Self::MicroK8s => &["snap.microk8s.daemon-containerd.service"],
            Self::K0s | Self::Talos => &[],
        }
    }

    /// containerd's socket on the node.
    #[must_use]
    pub fn socket(self) -> &'static str {
        match self {
            Self::Containerd | Self::Kind | Self::Minikube | Self::Talos => {
                "/run/containerd/containerd.sock"
            }
            Self::K3s | Self::Rke2 => "/run/k3s/containerd/containerd.sock",
            Self::MicroK8s => "/var/snap/microk8s/common/run/containerd.sock",
            Self::K0s => "/run/k0s/containerd.sock",
        }
    }

    /// Where this distribution's containerd may stand on the node.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Containerd | Self::Kind | Self::Minikube | Self::Talos => {
                &["/usr/local/bin/containerd", "/usr/bin/containerd"]
            }
            Self::K3s => &["/var/lib/rancher/k3s/data/current/bin/containerd"],
            Self::Rke2 => &["/var/lib/rancher/rke2/bin/containerd"],
            Self::MicroK8s => &["/snap/microk8s/current/bin/containerd"],
            Self::K0s => &["/var/lib/k0s/bin/containerd"],
        }
    }

    /// Whether containerd finds a shim in `/usr/local/bin` by its name. k0s and MicroK8s start containerd with
    /// a PATH of their own.
    #[must_use]
    pub fn finds_by_name(self) -> bool {
        !matches!(self, Self::K0s | Self::MicroK8s)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Containerd => "containerd",
            Self::K3s => "k3s",
            Self::Rke2 => "rke2",
            Self::MicroK8s => "microk8s",
            Self::K0s => "k0s",
            Self::Kind => "kind",
            Self::Minikube => "minikube",
            Self::Talos => "talos",
        })
    }
}

fn nothing(node: &NodeRoot) -> DistributionError {
    let looked: Vec<_> = ALL
        .into_iter()
        .flat_map(|one| one.traces())
        .copied()
        .collect();
    DistributionError::Nothing {
        root: node.folder().display().to_string(),
        looked: looked.join(", "),
    }
}
