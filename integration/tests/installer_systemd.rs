//! The node installer on a machine whose systemd runs containerd, as on most real nodes. For `cargo xtask vm`.
//!
//! The unit is the one that Debian ships; the machine forgets everything that is written here.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The environment variable with the path of the program, where it does not stand beside the tests.
const PROGRAM: &str = "CORACLE_NODE_INSTALLER";

/// Makes a node of the machine, and what the steps say. Each test finds it as the one before has left it: as
/// it was.
const SETUP: &str = r#"
O=/run/installer-test; CONFIG=/etc/containerd/config.toml; rm -rf $O; mkdir -p $O/payload /etc/containerd
mountpoint -q /var/lib/containerd || { mkdir -p /var/lib/containerd; mount -t tmpfs tmpfs /var/lib/containerd; }
[ -e /usr/bin/systemctl ] || mv /usr/bin/away /usr/bin/systemctl
containerd config default > $CONFIG; cp $CONFIG $O/before.toml
for program in containerd-shim-coracle-v1 coracle-compile; do echo $program > $O/payload/$program; done
export TIMEOUT=120 SYSTEMD_LOG_LEVEL=err
process() { busctl get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/containerd_2eservice org.freedesktop.systemd1.Service MainPID; }
systemctl() { if [ -e /usr/bin/away ]; then /usr/bin/away "$@"; else /usr/bin/systemctl "$@"; fi; }
installer() { task=$1; shift; "$PROGRAM" $task --root / "$@"; }
fails() { if "$@" > $O/said 2>&1; then echo "succeeded: $*"; exit 1; fi; }
untouched() { cmp $O/before.toml $CONFIG; [ "$(ls -A /etc/containerd)" = config.toml ]; [ ! -e /var/lib/coracle ]; [ ! -e /usr/local/bin/containerd-shim-coracle-v1 ]; [ ! -e /usr/local/bin/coracle-compile ]; }
systemctl daemon-reload; systemctl reset-failed containerd || true; systemctl restart containerd
BEFORE=$(process)
"#;

/// The node has no `systemctl` any more.
const NO_SYSTEMCTL: &str = "mv /usr/bin/systemctl /usr/bin/away; ! command -v /bin/systemctl\n";

/// Installs, looks, and uninstalls.
const THERE_AND_BACK: &str = "
installer install --payload $O/payload 2> $O/said; cat $O/said
grep -q \"$WAY\" $O/said
[ \"$(process)\" != \"$BEFORE\" ]; INSTALLED=$(process)
installer status | grep -q 'handler *loaded'
systemctl is-active --quiet containerd
installer install --payload $O/payload; [ \"$(process)\" = \"$INSTALLED\" ]
installer uninstall
[ \"$(process)\" != \"$INSTALLED\" ]
untouched
fails installer status; grep -q 'not loaded (all: runc)' $O/said
";

#[test]
#[ignore = "needs systemd: cargo xtask vm"]
fn systemctl_restarts_containerd() -> Result<()> {
    run(&format!("WAY='restarting by systemctl'\n{THERE_AND_BACK}"))
}

#[test]
#[ignore = "needs systemd: cargo xtask vm"]
fn a_node_without_systemctl_is_restarted_over_the_bus() -> Result<()> {
    run(&format!(
        "{NO_SYSTEMCTL}WAY='restarting over D-Bus'\n{THERE_AND_BACK}"
    ))
}

/// The check before anything is written cannot know what a unit does before it starts containerd.
#[test]
#[ignore = "needs systemd: cargo xtask vm"]
fn a_unit_that_does_not_come_back_gets_its_files_back() -> Result<()> {
    let steps = "
mkdir -p /run/systemd/system/containerd.service.d
printf '[Service]\\nExecStartPre=/bin/sh -c \"! grep -q coracle /etc/containerd/config.toml\"\\n' \\
    > /run/systemd/system/containerd.service.d/refuse.conf
systemctl daemon-reload
fails installer install --payload $O/payload; cat $O/said
grep -q 'every file is as it was, and containerd runs as before' $O/said
grep -q 'unit containerd.service is' $O/said
systemctl is-active --quiet containerd
untouched
rm -r /run/systemd/system/containerd.service.d; systemctl daemon-reload
";
    run(&format!("{NO_SYSTEMCTL}{steps}"))
}

fn run(steps: &str) -> Result<()> {
    let output = Command::new("flock")
        // There is one containerd, and tests may run at the same time.
        .args(["/run/installer-test.lock", "bash", "-euxc"])
        .arg(format!("{SETUP}{steps}"))
        .env("PROGRAM", program())
        .output()
        .context("start flock")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}:\n{said}", output.status);
    Ok(())
}

fn program() -> PathBuf {
    let named = std::env::var_os(PROGRAM).map(PathBuf::from);
    let beside = || {
        let tests = std::env::current_exe().ok()?;
        Some(tests.parent()?.parent()?.join("coracle-node-installer"))
    };
    named.or_else(beside).unwrap_or_default()
}
