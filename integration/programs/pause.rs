//! What a sandbox runs under a native runtime: sleeps, reaps whoever it inherits, ends when it is asked to.
//!
//! Built by `build.rs` with rustc alone, so that it can be linked statically; hence no crate of signals.

// SAFETY: none of these functions reads or keeps memory of ours beyond the call: `signal` keeps a function,
// which lives as long as the program, and `waitpid` writes at most through an exclusive reference.
unsafe extern "C" {
    safe fn _exit(code: i32) -> !;
    safe fn pause() -> i32;
    safe fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    safe fn waitpid(pid: i32, status: Option<&mut i32>, options: i32) -> i32;
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;
const WNOHANG: i32 = 1;

extern "C" fn end(_signal: i32) {
    _exit(0)
}

extern "C" fn reap(_signal: i32) {
    while waitpid(-1, None, WNOHANG) > 0 {}
}

fn main() {
    signal(SIGINT, end);
    signal(SIGTERM, end);
    signal(SIGCHLD, reap);
    loop {
        pause();
    }
}
