//! Where things lie.

use std::path::{Path, PathBuf};

/// The workspace root.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = here.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().map(Path::to_owned).unwrap_or(here)
}

/// The cargo that runs this task.
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Every file below `dir`, sorted, without build outputs, run folders and hidden folders.
pub fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            match path.is_dir() {
                true if ["target", "runs"].contains(&name.as_str()) || name.starts_with('.') => {}
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files of the workspace whose name ends in `extension`, as (path from the root, text).
pub fn texts(root: &Path, extension: &str) -> std::io::Result<Vec<(String, String)>> {
    let with_extension = |path: &PathBuf| path.extension().is_some_and(|ext| ext == extension);
    let paths = files(root)?.into_iter().filter(with_extension);
    paths
        .map(|path| {
            let shown = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            Ok((shown, std::fs::read_to_string(&path)?))
        })
        .collect()
}

/// Where reference cases lie: `$ADVECT_GOLDEN`, or beside the project.
pub fn golden_dir() -> Option<PathBuf> {
    let named = std::env::var_os("ADVECT_GOLDEN").map(PathBuf::from);
    named.or_else(|| Some(root().join("../shared/golden")).filter(|dir| dir.is_dir()))
}
