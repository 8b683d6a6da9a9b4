//! The main function of every handler.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use coracle_akri_protocol::Layout;

use crate::handler::Handler;
use crate::options::Options;
use crate::session::{Round, Session, start_mark};

/// Runs a handler until it is killed. `own` names the handler's own options with what they are unless given;
/// `build` makes the handler of what was given.
#[must_use]
pub fn run<H: Handler>(
    own: &[(&'static str, &str)],
    build: impl FnOnce(&Options) -> H,
) -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let options = match Options::read(std::env::args().skip(1), variable, own) {
        Ok(options) => options,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    let handler = build(&options);
    match begin(handler, &options) {
        Ok(session) => rounds(session, &options),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn begin<H: Handler>(handler: H, options: &Options) -> Result<Session<H>, String> {
    let start = start_mark().map_err(|error| error.to_string())?;
    let layout = Layout::new(&options.exchange);
    let session = Session::open(handler, layout, &start).map_err(|error| match error {
        error if error.is_not_found() => {
            format!(
                "{error}: is it mounted? --exchange names the folder that is shared with the proxy"
            )
        }
        error => error.to_string(),
    })?;
    say(&format!(
        "ready: {} is looked at every {} ms",
        options.exchange.display(),
        options.period.as_millis()
    ));
    Ok(session)
}

fn rounds<H: Handler>(mut session: Session<H>, options: &Options) -> ! {
    let mut last = Round::default();
    loop {
        let round = session.round();
        for line in &round.lines {
            say(line);
        }
        // A problem that stays is said once.
        for problem in &round.problems {
            if !last.problems.contains(problem) {
                say(&format!("warning: {problem}"));
            }
        }
        last = round;
        thread::sleep(options.period);
    }
}

/// Writes a line into the container's log.
fn say(line: &str) {
    // A handler whose log is gone still has work to do.
    drop(writeln!(io::stderr(), "{line}"));
}
