//! Prints its environment, sorted, one `KEY=VALUE` a line.

use std::collections::BTreeMap;

fn main() {
    let sorted: BTreeMap<String, String> = std::env::vars().collect();
    for (key, value) in sorted {
        println!("{key}={value}");
    }
}
