//! Runs the reference cases.
fn main() {}
