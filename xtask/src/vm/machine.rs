//! QEMU, as a child of the keeper: started, listened to, and ended at its deadline.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::Init;
use super::kernel::Kernel;
use super::work::path;
use crate::steps::say;

/// After how much silence the machine is said to be still at work.
const SILENCE: Duration = Duration::from_secs(30);

/// What there is to start.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) share: &'a Path,
    pub(super) init: Init,
    /// MiB.
    pub(super) memory: u32,
}

impl Machine<'_> {
    /// Runs the machine to its end, with its output as lines on standard output.
    ///
    /// # Errors
    /// When it cannot be started, or has not come to an end in time.
    pub(super) fn run(&self, deadline: Duration) -> anyhow::Result<()> {
        let mut keeper = self.keeper(Some(deadline))?.spawn()?;
        // Held to the end: the keeper takes its end for the end of this process.
        let _lifeline = keeper.stdin.take();
        listen(&lines_of(&mut keeper)?)?;
        ensure!(keeper.wait()?.success(), "the machine failed");
        Ok(())
    }

    /// Runs the machine with this terminal as its own.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn converse(&self) -> anyhow::Result<()> {
        let mut keeper = self.keeper(None)?.spawn()?;
        let mut keyboard = keeper.stdin.take().context("the keeper has no input")?;
        let mut screen = keeper.stdout.take().context("the keeper has no output")?;
        // Never joined: it waits for a key as long as the task lives. The machine goes off when the shell ends.
        thread::spawn(move || {
            let typed = copy(&mut io::stdin(), &mut keyboard);
            // The end of a script that was piped in is no reason to take the machine away.
            if typed.is_ok() {
                loop {
                    thread::park();
                }
            }
        });
        stty(&["raw", "-echo"]);
        let shown = copy(&mut screen, &mut io::stdout());
        stty(&["sane"]);
        keeper.wait()?;
        Ok(shown?)
    }

    /// The keeper's command: this program, with QEMU's as its arguments.
    fn keeper(&self, deadline: Option<Duration>) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("vm-keeper")
            .args(deadline.map(|deadline| format!("--deadline={}", deadline.as_secs())))
            .arg(self.share)
            .args(["--", "qemu-system-x86_64"])
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-m", &self.memory.to_string()])
            .args(["-nodefaults", "-no-reboot", "-display", "none"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.share.join("initramfs"))
            .args(["-append", &self.command_line()])
            // The first serial line is the kernel's console, the second the terminal of the work.
            .arg("-serial")
            .arg(format!("file:{}", path(&self.share.join("console.log"))?))
            .args([
                "-chardev",
                "stdio,id=work,signal=off",
                "-serial",
                "chardev:work",
            ])
            .args([
                "-virtfs",
                &shared("/", "host", ",readonly=on,multidevs=remap"),
            ])
            .args(["-virtfs", &shared(&path(self.share)?, "share", "")])
            // ^C reaches the task alone; the keeper outlives it long enough to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Ok(command)
    }

    fn command_line(&self) -> String {
        let init = match self.init {
            Init::Systemd => "systemd",
            Init::Plain => "plain",
        };
        format!("console=ttyS0 panic=-1 quiet systemd.show_status=error coracle.init={init}")
    }
}

fn shared(folder: &str, tag: &str, more: &str) -> String {
    // A comma in an option's value is written twice.
    let folder = folder.replace(',', ",,");
    format!("local,path={folder},mount_tag={tag},security_model=none{more}")
}

fn lines_of(keeper: &mut Child) -> anyhow::Result<Receiver<io::Result<String>>> {
    let output = keeper.stdout.take().context("the keeper has no output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map(|line| String::from_utf8_lossy(&line).into_owned());
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// Prints lines until there are no more, and a sign of life where there are none for long.
fn listen(lines: &Receiver<io::Result<String>>) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => writeln!(io::stdout(), "{}", line?.trim_end_matches('\r'))?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => say(&format!(
                "  … the machine is at work since {} s",
                begin.elapsed().as_secs()
            )),
        }
    }
}

/// As `io::copy`, but what was read is written at once.
fn copy(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut some = [0; 4096];
    loop {
        match from.read(&mut some)? {
            0 => return Ok(()),
            count => to.write_all(some.get(..count).unwrap_or_default())?,
        }
        to.flush()?;
    }
}

/// Sets the terminal; where there is none, nothing has to be set.
fn stty(settings: &[&str]) {
    drop(
        Command::new("stty")
            .args(settings)
            .stderr(Stdio::null())
            .status(),
    );
}
