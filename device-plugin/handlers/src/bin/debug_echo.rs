//! The `debugEcho` handler.

use std::process::ExitCode;

use coracle_akri_handlers::debug_echo::DebugEcho;
use coracle_akri_handlers::run;

fn main() -> ExitCode {
    const AVAILABILITY: &str = "--availability";
    run(
        &[(AVAILABILITY, "/tmp/debug-echo-availability.txt")],
        |options| DebugEcho::new(options.own(AVAILABILITY).as_ref()),
    )
}
