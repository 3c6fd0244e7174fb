//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod docs;
mod layers;
mod readme;
mod sources;

use std::path::Path;

use crate::{Result, workspace};

pub use readme::tested_commands;

/// A rule: what it wants, and the places that break it.
type Rule = fn(&Path) -> std::io::Result<Vec<String>>;

const RULES: &[(&str, Rule)] = &[
    ("dependencies point down only", layers::check),
    (
        "docs are present and their links lead somewhere",
        docs::check,
    ),
    ("commands in the docs exist", readme::check),
    ("no banned code, no overlong files", sources::check),
];

/// Prints every place that breaks a rule and fails if there is one.
pub fn run(args: &[String]) -> Result {
    if !args.is_empty() {
        return Err("tidy takes no argument".into());
    }
    let root = workspace::root();
    let mut broken = 0;
    for (rule, check) in RULES {
        let places = check(&root)?;
        broken += places.len();
        println!(
            "{:<8} {rule}",
            if places.is_empty() { "ok" } else { "BROKEN" }
        );
        places.iter().for_each(|place| println!("  {place}"));
    }
    match broken {
        0 => Ok(()),
        n => Err(format!("tidy: {n} places break a rule").into()),
    }
}
