//! Every crate has a README with an example, every algorithm a page, every link a target.

use std::path::Path;

use crate::workspace;

const WANTED: &[&str] = &[
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    "docs/ARCHITECTURE.md",
];

/// Looks for missing pages and for links that lead nowhere.
pub fn check(root: &Path) -> std::io::Result<Vec<String>> {
    let missing = WANTED.iter().filter(|path| !root.join(path).is_file());
    let mut broken: Vec<_> = missing.map(|path| format!("{path}: is missing")).collect();
    broken.extend(crates(root)?);
    broken.extend(algorithms(root)?);
    broken.extend(links(root)?);
    Ok(broken)
}

fn folders(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn crates(root: &Path) -> std::io::Result<Vec<String>> {
    let architecture = read(root, "docs/ARCHITECTURE.md");
    let mut broken = Vec::new();
    for name in folders(&root.join("crates"))? {
        let readme = format!("crates/{name}/README.md");
        let library = read(root, &format!("crates/{name}/src/lib.rs"));
        if !read(root, &readme).contains("```rust") {
            broken.push(format!(
                "{readme}: has no Rust example of the crate used alone"
            ));
        }
        if !library.contains("include_str!(\"../README.md\")") {
            broken.push(format!(
                "crates/{name}/src/lib.rs: does not include its README, so no test runs it"
            ));
        }
        if !architecture.contains(&format!("`{name}`")) {
            broken.push(format!("docs/ARCHITECTURE.md: does not name `{name}`"));
        }
    }
    Ok(broken)
}

/// The folder of `advect-algos` that is no algorithm.
const SHARED: &str = "off_policy";

/// A folder of `advect-algos` is an algorithm, and has its page.
fn algorithms(root: &Path) -> std::io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for name in folders(&root.join("crates/advect-algos/src"))? {
        let page = format!("docs/algorithms/{name}.md");
        if name != SHARED && !root.join(&page).is_file() {
            broken.push(format!(
                "{page}: the page of crates/advect-algos/src/{name} is missing"
            ));
        }
    }
    Ok(broken)
}

fn read(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_default()
}

fn links(root: &Path) -> std::io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for (page, text) in workspace::texts(root, "md")? {
        let folder = root.join(&page);
        let folder = folder.parent().unwrap_or(root);
        let dead = targets(&text)
            .into_iter()
            .filter(|target| !folder.join(target).exists());
        broken
            .extend(dead.map(|target| format!("{page}: links to {target}, which does not exist")));
    }
    Ok(broken)
}

/// The files that a page links to: no web addresses, no anchors.
fn targets(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let links = line.split("](").skip(1).filter(|_| !in_code);
        found.extend(links.filter_map(|rest| rest.split([')', '#', ' ']).next()));
    }
    found.retain(|target| !target.is_empty() && !target.contains("://") && !target.contains('`'));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found_and_others_are_not() {
        let page = "[a](docs/a.md#top) ![b](b.svg) [c](https://x.y) [d](#d)\n```\n[e](e.md)\n```\n";
        assert_eq!(targets(page), ["docs/a.md", "b.svg"]);
    }
}
