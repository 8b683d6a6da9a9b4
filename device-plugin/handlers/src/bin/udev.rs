//! The `udev` handler.

use std::process::ExitCode;

use coracle_akri_handlers::run;
use coracle_akri_handlers::udev::Udev;

fn main() -> ExitCode {
    const SYSFS: &str = "--sysfs";
    run(&[(SYSFS, "/sys")], |options| {
        Udev::new(options.own(SYSFS).as_ref())
    })
}
