//! Steps of a task: a headline each, the command's own output below it, and the time it took.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

/// Counts and announces the steps of one task.
pub(crate) struct Steps {
    total: usize,
    done: usize,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, done: 0 }
    }

    /// Runs a step under its headline.
    ///
    /// # Errors
    /// Those of the step.
    pub(crate) fn step<T>(
        &mut self,
        title: &str,
        run: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.done += 1;
        say(&format!("[{}/{}] {title}", self.done, self.total));
        let start = Instant::now();
        let result = run().with_context(|| format!("step \"{title}\" failed"))?;
        say(&format!(
            "[{}/{}] {title}: {:.1} s",
            self.done,
            self.total,
            start.elapsed().as_secs_f64()
        ));
        Ok(result)
    }
}

/// Writes a line for the person who started the task. Standard output stays free for results.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Runs a program with this terminal.
///
/// # Errors
/// When it cannot be started, or ends with anything but success: the whole command is named.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let text = text_of(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !status.success() {
        bail!("`{text}` ended with {status}");
    }
    Ok(())
}

/// Runs a program with this terminal, except for its standard output, which is the answer.
///
/// # Errors
/// As [`run`], or when the answer is not UTF-8.
pub(crate) fn answer(command: &mut Command) -> anyhow::Result<String> {
    let text = text_of(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    if !output.status.success() {
        bail!("`{text}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("what `{text}` says is not UTF-8"))
}

fn text_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
