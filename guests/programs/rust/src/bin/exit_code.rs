//! Exits with the code given as its first argument.

fn main() {
    let code = std::env::args().nth(1).expect("usage: exit_code CODE");
    std::process::exit(code.parse().expect("the code is a number"));
}
