//! Builds the programs of `device-plugin` that are not in the cache, and says what it does.

use std::io::{self, Write as _};
use std::time::Instant;

use anyhow::Result;
use coracle_akri_programs::PROGRAMS;

fn main() -> Result<()> {
    let mut out = io::stdout();
    for program in &PROGRAMS {
        let begin = Instant::now();
        let assembling = |toolchain: &str| {
            // The build goes on without a terminal.
            drop(writeln!(
                io::stderr(),
                "assembling the {toolchain} toolchain (once; up to a few minutes)"
            ));
        };
        if program.build(&assembling)? {
            let size = program.built()?.metadata()?.len().div_ceil(1024);
            let took = begin.elapsed().as_secs_f32();
            writeln!(out, "built {} ({size} KiB in {took:.1} s)", program.name)?;
        }
    }
    writeln!(out, "akri programs: all {} are there", PROGRAMS.len())?;
    Ok(())
}
