//! The commands that the workspace's pages show can be typed: every verb, option and setting in them exists.

use super::args::Cli;
use clap::{CommandFactory, Parser};
use std::path::{Path, PathBuf};

/// Folders of the workspace that hold pages.
const FOLDERS: [&str; 3] = ["", "docs", "crates"];

fn pages(dir: &Path, deep: bool, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && deep {
            pages(&path, deep, found)?;
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// The lines of the shell blocks of a page; one that ends in a backslash goes on in the next.
fn commands(page: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in page.replace("\\\n", " ").lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && ["sh", "console"].iter().any(|l| language.starts_with(l));
        } else if inside {
            found.push(
                line.split(" #")
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            );
        }
    }
    found
}

/// The words behind `advect`, or behind `cargo xtask` if that forwards them here.
fn ours(command: &str) -> Option<Vec<&str>> {
    if let Some(words) = command.strip_prefix("advect ") {
        return Some(words.split_whitespace().collect());
    }
    let words = command.strip_prefix("cargo xtask ")?;
    let words: Vec<&str> = words.split_whitespace().collect();
    let verbs = Cli::command();
    let verb = words.first().copied().unwrap_or_default();
    verbs.find_subcommand(verb).map(|_| words)
}

fn parse(words: Vec<&str>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("advect").chain(words))
}

#[test]
fn a_verb_or_an_option_that_does_not_exist_is_found() {
    for command in [
        "advect tarin sac",
        "advect train --sedd 1",
        "cargo xtask eval",
    ] {
        let words = ours(command);
        assert!(
            words.is_some_and(|words| parse(words).is_err()),
            "{command}"
        );
    }
    assert!(ours("cargo xtask test").is_none(), "not forwarded");
}

#[test]
fn every_command_on_a_page_can_be_typed() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in FOLDERS {
        pages(&root.join(folder), !folder.is_empty(), &mut files)?;
    }
    let mut typed = 0;
    for file in files {
        let page = std::fs::read_to_string(&file)?;
        for command in commands(&page) {
            let Some(words) = ours(&command) else {
                continue;
            };
            let parsed = parse(words);
            assert!(
                parsed.is_ok(),
                "{}: `{command}`: {:?}",
                file.display(),
                parsed.err()
            );
            typed += 1;
        }
    }
    assert!(typed > 20, "only {typed} commands found");
    Ok(())
}
