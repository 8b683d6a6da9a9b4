//! The `file` handler.

use std::process::ExitCode;

use coracle_akri_handlers::file::Inventory;
use coracle_akri_handlers::run;

fn main() -> ExitCode {
    const INVENTORY: &str = "--inventory";
    run(&[(INVENTORY, "/inventory")], |options| {
        Inventory::new(options.own(INVENTORY).as_ref())
    })
}
