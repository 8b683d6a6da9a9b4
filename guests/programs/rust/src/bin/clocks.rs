//! Prints the wall clock in whole seconds since 1970, then `monotonic ok` where the monotonic clock goes
//! forward over a sleep; a frozen one makes the program exit with 1.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let begin = Instant::now();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("the wall clock is past 1970");
    println!("{}", wall.as_secs());
    std::thread::sleep(Duration::from_millis(1));
    if begin.elapsed() < Duration::from_millis(1) {
        println!("monotonic frozen");
        return ExitCode::FAILURE;
    }
    println!("monotonic ok");
    ExitCode::SUCCESS
}
