//! Takes and touches as many MiB as its first argument says, prints how far it came (`touched 7 MiB`)
//! and exits with 1 where that is less than asked for.

use std::process::ExitCode;

const MIB: usize = 1024 * 1024;
const PAGE: usize = 4096;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).expect("usage: memory_grow MIB");
    let wanted: usize = wanted.parse().expect("the MiB are a number");
    // Room for the list itself is taken first, so that only the memory asked for can be refused.
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(wanted.min(4096));
    while taken.len() < wanted {
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(MIB).is_err() {
            break;
        }
        chunk.resize(MIB, 0);
        // Memory the host has not been written to is not taken yet, and an optimiser may drop plain writes.
        for page in chunk.chunks_mut(PAGE) {
            std::hint::black_box(page)[0] = 1;
        }
        taken.push(chunk);
    }
    println!("touched {} MiB", taken.len());
    if taken.len() == wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
