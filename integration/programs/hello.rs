//! Says hello, natively: the yardstick for the wasm that says the same.

fn main() {
    println!("hello");
}
