//! The node's systemd, asked by the node's own `systemctl` or over D-Bus.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use zbus::blocking::connection::{Builder, Connection};
use zbus::blocking::fdo::PropertiesProxy;
use zbus::zvariant::OwnedObjectPath;

use super::{HostError, run};
use crate::distribution::Distribution;
use crate::node::NodeRoot;

/// The bus, as the node names it.
const BUS: &str = "/run/dbus/system_bus_socket";

const SYSTEMD: &str = "org.freedesktop.systemd1";

const MANAGER: (&str, &str) = (
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
);

const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// How long a unit may take to stop and to start. systemd itself gives up on each after 90 seconds.
const RESTARTED_BY: Duration = Duration::from_secs(200);

/// How often systemd is asked whether it is done.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Where systemd keeps units.
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Where a node has `systemctl`.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// A way to systemd.
pub(super) enum Systemd<'c> {
    /// Its own program; the function makes a command of it.
    Systemctl(Box<dyn Fn() -> Result<Command, HostError> + 'c>),
    /// The bus.
    Bus(Connection),
}

/// Whether systemd runs on the node.
pub(super) fn is_on(node: &NodeRoot) -> bool {
    node.has("/run/systemd/system")
}

/// Whether the node has `systemctl`; without it the bus is asked.
pub(super) fn has_systemctl(node: &NodeRoot) -> bool {
    SYSTEMCTL.iter().any(|program| node.has(program))
}

impl Systemd<'_> {
    /// The bus of `node`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub(super) fn on_bus_of(node: &NodeRoot) -> Result<Self, HostError> {
        let failed = |source| HostError::Bus {
            action: format!("connect to {BUS} of the node"),
            source: Box::new(source),
        };
        let path = node.at(BUS).map_err(|error| failed(error.into()))?;
        let address = format!("unix:path={}", path.display());
        let connected = Builder::address(address.as_str()).and_then(Builder::build);
        connected.map(Self::Bus).map_err(failed)
    }

    /// Restarts the unit of the distribution that is active, or the only one there is, and waits until it has
    /// started.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub(super) fn restart(
        &self,
        node: &NodeRoot,
        distribution: Distribution,
    ) -> Result<(), HostError> {
        let unit = self.unit(node, distribution)?;
        match self {
            Self::Systemctl(command) => {
                tracing::info!(unit, "restarting by systemctl");
                run(command()?.args(["restart", unit])).map(drop)
            }
            Self::Bus(connection) => {
                tracing::info!(unit, "restarting over D-Bus");
                restart_on(connection, unit)
            }
        }
    }

    fn unit(&self, node: &NodeRoot, distribution: Distribution) -> Result<&'static str, HostError> {
        let units = distribution.units();
        let is_there = |unit: &&str| {
            FOLDERS
                .iter()
                .any(|folder| node.has(Path::new(folder).join(unit)))
        };
        let there: Vec<&'static str> = units.iter().copied().filter(is_there).collect();
        if let [one] = there[..] {
            return Ok(one);
        }
        for unit in &there {
            if self.is_active(unit)? {
                return Ok(unit);
            }
        }
        Err(HostError::NoUnit {
            units: units.join(", "),
        })
    }

    fn is_active(&self, unit: &str) -> Result<bool, HostError> {
        match self {
            Self::Systemctl(command) => {
                Ok(run(command()?.args(["is-active", "--quiet", unit])).is_ok())
            }
            Self::Bus(connection) => Ok(state(connection, unit)? == "active"),
        }
    }
}

fn restart_on(connection: &Connection, unit: &str) -> Result<(), HostError> {
    let job = manager(connection, "RestartUnit", &(unit, "replace"))?;
    let deadline = Instant::now() + RESTARTED_BY;
    // A job is gone once it is done, however it ended.
    while property(connection, &job, "org.freedesktop.systemd1.Job", "State").is_ok() {
        if Instant::now() > deadline {
            return Err(HostError::Unit {
                unit: unit.to_owned(),
                state: format!("being restarted since {} s", RESTARTED_BY.as_secs()),
            });
        }
        sleep(ASK_EVERY);
    }
    match state(connection, unit)?.as_str() {
        "active" => Ok(()),
        state => Err(HostError::Unit {
            unit: unit.to_owned(),
            state: state.to_owned(),
        }),
    }
}

fn state(connection: &Connection, unit: &str) -> Result<String, HostError> {
    let path = manager(connection, "LoadUnit", &unit)?;
    property(connection, &path, UNIT, "ActiveState")
}

/// Calls a method of systemd's that answers with an object.
fn manager<B>(connection: &Connection, method: &str, body: &B) -> Result<OwnedObjectPath, HostError>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let (path, interface) = MANAGER;
    connection
        .call_method(Some(SYSTEMD), path, Some(interface), method, body)
        .and_then(|answer| answer.body().deserialize())
        .map_err(|source| HostError::Bus {
            action: format!("have systemd do {method}"),
            source: Box::new(source),
        })
}

fn property(
    connection: &Connection,
    path: &OwnedObjectPath,
    interface: &str,
    name: &str,
) -> Result<String, HostError> {
    let asked = || -> zbus::Result<String> {
        let properties = PropertiesProxy::new(connection, SYSTEMD, path)?;
        let value = properties.get(interface.try_into()?, name)?;
        Ok(value.try_into()?)
    };
    asked().map_err(|source| HostError::Bus {
        action: format!("ask systemd for {name}"),
        source: Box::new(source),
    })
}
