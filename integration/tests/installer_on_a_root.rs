//! The node installer on a whole root file system: an overlay of this machine's, in namespaces of its own,
//! with the machine's containerd below it. What it writes lands in memory and goes with the namespaces.
//!
//! `CORACLE_CONTAINERD` names another program than the machine's containerd, such as one of version 2, whose
//! default configuration imports a folder.
//!
//! Here the installer enters the root to ask containerd about a configuration, and ends containerd by a signal.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The environment variable with the path of the program, where it does not stand beside the tests.
const PROGRAM: &str = "CORACLE_NODE_INSTALLER";

/// Makes the root, and a containerd that is started again whenever it ends, unless `$O/pause` is there.
const SETUP: &str = r#"
mount --make-rprivate /
O=/mnt; mount -t tmpfs tmpfs $O; R=$O/root
mkdir $O/up $O/work $R
mount -t overlay overlay -o lowerdir=/,upperdir=$O/up,workdir=$O/work $R
mount -t proc proc $R/proc; mount --rbind /sys $R/sys; mount --rbind /dev $R/dev
for folder in run var/lib tmp; do mount -t tmpfs tmpfs $R/$folder; done
[ -z "${CORACLE_CONTAINERD-}" ] || { mkdir -p $R/usr/local/bin; cp $CORACLE_CONTAINERD $R/usr/local/bin/containerd; }
BIN=$R/usr/bin/containerd; [ ! -e $R/usr/local/bin/containerd ] || BIN=$R/usr/local/bin/containerd
mkdir -p $R/etc/containerd; CONFIG=$R/etc/containerd/config.toml
chroot $R ${BIN#$R} config default > $CONFIG
cp $CONFIG $O/before.toml; mkdir $O/payload; for program in containerd-shim-coracle-v1 coracle-compile; do echo $program > $O/payload/$program; done
( while :; do
    while [ -e $O/pause ]; do sleep 0.1; done
    chroot $R ${BIN#$R} >> $O/containerd.log 2>&1 || true
    sleep 0.1
done ) &
installer() { task=$1; shift; "$PROGRAM" $task --root $R --restart terminate "$@"; }
serves() { for try in $(seq 150); do installer status 2>&1 | grep -q "(all: .*runc" && return; sleep 0.2; done; tail $O/containerd.log; false; }
fails() { if "$@" > $O/said 2>&1; then echo "succeeded: $*"; exit 1; fi; }
untouched() { cmp $O/before.toml $CONFIG; [ "$(ls -A $R/etc/containerd)" = config.toml ]; [ ! -e $R/var/lib/coracle ]; [ ! -e $R/usr/local/bin/containerd-shim-coracle-v1 ]; [ ! -e $R/usr/local/bin/coracle-compile ]; }
serves
"#;

#[test]
fn a_default_configuration_gets_the_handler_and_loses_it_again() -> Result<()> {
    run("
installer install --payload $O/payload
installer status | grep -q 'handler *loaded'
cmp $O/payload/containerd-shim-coracle-v1 $R/usr/local/bin/containerd-shim-coracle-v1; cmp $O/payload/coracle-compile $R/usr/local/bin/coracle-compile
cp $CONFIG $O/installed.toml
installer install --payload $O/payload; cmp $O/installed.toml $CONFIG
installer uninstall
untouched
fails installer status; grep -q 'does not run wasm pods' $O/said
")
}

#[test]
fn what_containerd_refuses_is_told_and_not_written() -> Result<()> {
    run(r#"
sed -i 's/^oom_score = 0/oom_score = "x"/' $CONFIG; cp $CONFIG $O/before.toml
fails installer install --payload $O/payload
grep -q 'nothing was changed' $O/said; grep -Eq 'x.string. to int|cannot decode TOML string' $O/said
untouched
"#)
}

#[test]
fn a_containerd_that_does_not_come_back_in_time_gets_its_files_back() -> Result<()> {
    run("
touch $O/pause; (sleep 6; rm $O/pause) &
export TIMEOUT=4
fails installer install --payload $O/payload
grep -q 'every file is as it was, and containerd runs as before' $O/said
grep -q 'not back after 4 s' $O/said
untouched
fails installer status; grep -q 'not loaded (all: runc)' $O/said
")
}

#[test]
fn run_installs_again_what_is_taken_away_and_leaves_it_at_its_end() -> Result<()> {
    run("
becomes() { for try in $(seq 100); do installer status 2>&1 | grep -q \"$1\" && return; sleep 0.2; done; false; }
$PROGRAM run --root $R --restart terminate --payload $O/payload --check-every 1 & RUNNING=$!
becomes 'handler *loaded'
[ -e $R/etc/containerd/conf.d/coracle.toml ] && rm $R/etc/containerd/conf.d/coracle.toml || cp $O/before.toml $CONFIG
becomes 'to be written'
becomes '\\(main file\\|drop-in\\), written'
becomes 'handler *loaded'
kill -TERM $RUNNING; wait $RUNNING
becomes 'handler *loaded'
installer uninstall
untouched
")
}

fn run(steps: &str) -> Result<()> {
    let output = Command::new("unshare")
        .args(["-m", "-n", "-p", "-f", "--kill-child", "bash", "-euxc"])
        .arg(format!("{SETUP}{steps}"))
        .env("PROGRAM", program())
        .output()
        .context("start unshare")?;
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
