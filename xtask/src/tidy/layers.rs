//! Arrows between the crates point down only: see docs/ARCHITECTURE.md.

use std::path::Path;

struct Layer {
    name: &'static str,
    /// Crates of the workspace that it may use.
    uses: &'static [&'static str],
    /// Crates of the workspace that its tests and examples may use besides.
    tests_use: &'static [&'static str],
    /// Prefixes of the names of other crates that it must not use, with the reason.
    without: &'static [(&'static str, &'static str)],
}

const NO_TENSORS: &[(&str, &str)] = &[("candle", "this layer never sees a tensor")];

const LAYERS: &[Layer] = &[
    Layer {
        name: "advect-rng",
        uses: &[],
        tests_use: &[],
        without: NO_TENSORS,
    },
    Layer {
        name: "advect-envs",
        uses: &["advect-rng"],
        tests_use: &[],
        without: NO_TENSORS,
    },
    Layer {
        name: "advect-kernels",
        uses: &["advect-rng"],
        tests_use: &[],
        without: &[],
    },
    Layer {
        name: "advect-flow",
        uses: &["advect-kernels", "advect-rng"],
        tests_use: &[],
        without: &[],
    },
    Layer {
        name: "advect-rl",
        uses: &["advect-envs", "advect-kernels", "advect-rng"],
        tests_use: &[],
        without: &[],
    },
    Layer {
        name: "advect-algos",
        uses: &["advect-flow", "advect-kernels", "advect-rl", "advect-rng"],
        tests_use: &["advect-envs"],
        without: &[],
    },
    Layer {
        name: "advect",
        uses: &[
            "advect-algos",
            "advect-envs",
            "advect-flow",
            "advect-kernels",
            "advect-rl",
            "advect-rng",
        ],
        tests_use: &[],
        without: &[],
    },
];

/// Compares every manifest in `crates/` with the table of the layers, and the task runner with its limits.
pub fn check(root: &Path) -> std::io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let manifest = std::fs::read_to_string(root.join("crates").join(&name).join("Cargo.toml"))?;
        match LAYERS.iter().find(|layer| layer.name == name) {
            Some(layer) => broken.extend(check_layer(layer, &manifest)),
            None => broken.push(format!(
                "crates/{name}: not in the table of xtask/src/tidy/layers.rs"
            )),
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            broken.push(format!(
                "crates/{name}/Cargo.toml: does not take the workspace's lints"
            ));
        }
        if !manifest.contains("license.workspace = true") {
            broken.push(format!(
                "crates/{name}/Cargo.toml: does not take the workspace's licence"
            ));
        }
    }
    broken.sort();
    Ok(broken)
}

fn check_layer(layer: &Layer, manifest: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for dependency in dependencies(manifest) {
        let name = dependency.name;
        let ours = LAYERS.iter().any(|other| other.name == name) && name != layer.name;
        let allowed =
            layer.uses.contains(&name) || (dependency.for_tests && layer.tests_use.contains(&name));
        if ours && !allowed {
            let allowed = layer.uses.join(", ");
            broken.push(format!(
                "{} -> {name}: it may use only [{allowed}]",
                layer.name
            ));
        }
        if let Some((_, reason)) = layer
            .without
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
        {
            broken.push(format!("{} -> {name}: {reason}", layer.name));
        }
    }
    broken
}

struct Dependency<'a> {
    name: &'a str,
    for_tests: bool,
}

/// The keys of every dependency table of a manifest.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut table = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
            if let Some((_, name)) = table.split_once("dependencies.") {
                found.push(Dependency {
                    name,
                    for_tests: table.contains("dev-"),
                });
            }
        } else if table.ends_with("dependencies") && line.contains('=') && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.push(Dependency {
                name,
                for_tests: table.contains("dev-"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str, manifest: &str) -> Vec<String> {
        let layer = LAYERS
            .iter()
            .find(|layer| layer.name == name)
            .expect("a layer");
        check_layer(layer, manifest)
    }

    #[test]
    fn the_layers_of_this_workspace_point_down() {
        assert_eq!(
            check(&crate::workspace::root()).expect("manifests"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_arrow_up_is_found_in_every_kind_of_table() {
        for manifest in [
            "[dependencies]\nadvect-rl.workspace = true",
            "[dependencies]\nadvect-rl = { path = \"../advect-rl\" }",
            "[dependencies.advect-rl]\nworkspace = true",
            "[dev-dependencies]\nadvect-rl.workspace = true",
            "[target.'cfg(unix)'.dependencies]\nadvect-rl.workspace = true",
        ] {
            assert_eq!(broken("advect-kernels", manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn what_a_layer_may_use_is_not_reported() {
        assert!(
            broken(
                "advect-kernels",
                "[dependencies]\nadvect-rng.workspace = true"
            )
            .is_empty()
        );
        assert!(broken("advect-algos", "[dev-dependencies]\nadvect-envs = \"0.1\"").is_empty());
        assert!(!broken("advect-algos", "[dependencies]\nadvect-envs = \"0.1\"").is_empty());
    }

    #[test]
    fn environments_see_no_tensor() {
        let manifest = "[dependencies]\ncandle-core.workspace = true";
        assert!(broken("advect-envs", manifest)[0].contains("never sees a tensor"));
    }
}
