//! Commands that the docs show exist; those in blocks marked `sh test` of the README also run. The words behind `advect` are checked by
//! its own tests, which can read them all.

use std::path::Path;

use crate::{TASKS, workspace};

/// Looks at every `sh` and `console` block of every page.
pub fn check(root: &Path) -> std::io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for (page, text) in workspace::texts(root, "md")? {
        for command in commands(&text, |_| true) {
            if let Err(problem) = check_command(root, command) {
                broken.push(format!("{page}: `{command}`: {problem}"));
            }
        }
    }
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap_or_default();
    if tested_commands(&readme).is_empty() {
        broken.push("README.md: no block is marked `sh test`".to_owned());
    }
    Ok(broken)
}

/// The commands of the blocks that a page marks with `sh test`, one per line.
pub fn tested_commands(page: &str) -> String {
    commands(page, |marks| marks == "test").join("\n")
}

/// The lines of the shell blocks whose further marks are `wanted`, without comments.
fn commands(page: &str, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open: Option<bool> = None;
    for line in page.lines().map(str::trim) {
        match (line.strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(info), None) => {
                let (language, marks) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(["sh", "console"].contains(&language) && wanted(marks.trim()));
            }
            (None, Some(true)) => {
                let command = line.split(" #").next().unwrap_or_default().trim();
                found.extend(Some(command).filter(|c| !c.is_empty() && !c.starts_with('#')));
            }
            _ => {}
        }
    }
    found
}

fn check_command(root: &Path, command: &str) -> Result<(), String> {
    let is_assignment = |word: &&str| word.contains('=') && !word.starts_with('-');
    let words: Vec<&str> = command
        .split_whitespace()
        .skip_while(is_assignment)
        .collect();
    match words.as_slice() {
        ["cargo", "xtask", task, ..] => match TASKS.iter().any(|known| known.name == *task) {
            true => Ok(()),
            false => Err(crate::unknown(
                "task",
                task,
                TASKS.iter().map(|task| task.name),
            )),
        },
        ["python3", script, ..] if script.ends_with(".py") && !root.join(script).is_file() => {
            Err(format!("{script} does not exist"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "text\n```sh\ncargo xtask tset # comment\n```\n```sh test\ncargo xtask tidy\n```\n```rust\nlet x = 1;\n```\n";

    #[test]
    fn commands_are_the_lines_of_shell_blocks() {
        assert_eq!(
            commands(PAGE, |_| true),
            ["cargo xtask tset", "cargo xtask tidy"]
        );
        assert_eq!(tested_commands(PAGE), "cargo xtask tidy");
    }

    #[test]
    fn a_task_or_script_that_does_not_exist_is_found() {
        let root = workspace::root();
        assert!(check_command(&root, "cargo xtask tset").is_err());
        assert!(check_command(&root, "A=1 cargo xtask tset").is_err());
        assert!(check_command(&root, "python3 scripts/absent.py").is_err());
        assert_eq!(check_command(&root, "cargo xtask test"), Ok(()));
    }
}
