//! Log lines as containerd writes its own, on standard error. containerd copies a shim's there.

use std::fmt::Write as _;
use std::io::Write as _;

use log::kv::{Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Logger;

static LOGGER: Logger = Logger;

/// Logs from here on; with `debug`, decisions too.
pub(crate) fn install(debug: bool) {
    let level = if debug {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    };
    // It can only be refused when it stands already.
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level);
    }
}

/// Says why this process ends.
pub(crate) fn complain(error: &anyhow::Error) {
    // Nobody is left to tell if that fails.
    drop(writeln!(
        std::io::stderr(),
        "containerd-shim-coracle-v1: {error:#}"
    ));
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries find remarkable is their own affair.
        metadata.level() <= log::max_level()
            && (metadata.target().starts_with("coracle")
                || metadata.target().starts_with("containerd_shim_coracle")
                || metadata.level() <= Level::Error)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = record.level().as_str().to_ascii_lowercase();
        let message = record.args().to_string();
        let mut line = Line(format!("level={level} msg={message:?} runtime=coracle"));
        // Writing to a string does not fail.
        drop(record.key_values().visit(&mut line));
        line.0.push('\n');
        // One write, so that lines of several processes do not mix. A log that is gone is no reason to end.
        drop(std::io::stderr().write_all(line.0.as_bytes()));
    }

    fn flush(&self) {}
}

struct Line(String);

impl<'kvs> VisitSource<'kvs> for Line {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        Ok(write!(self.0, " {key}={:?}", value.to_string())?)
    }
}
