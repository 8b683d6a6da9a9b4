//! Prints each of its arguments on a line, the program's own name first.

fn main() {
    for argument in std::env::args() {
        println!("{argument}");
    }
}
