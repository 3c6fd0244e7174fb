//! Banned code and overlong files.

use std::path::Path;

use crate::workspace;

/// A piece of text that library code must not contain.
struct Ban {
    text: &'static str,
    reason: &'static str,
    /// Prefixes of the paths where it is allowed.
    allowed: &'static [&'static str],
    /// Whether tests, tools and benches must not contain it either.
    everywhere: bool,
}

const fn library(text: &'static str, reason: &'static str) -> Ban {
    Ban {
        text,
        reason,
        allowed: &[],
        everywhere: false,
    }
}

const fn everywhere(text: &'static str, reason: &'static str) -> Ban {
    Ban {
        text,
        reason,
        allowed: &[],
        everywhere: true,
    }
}

const PANIC: &str = "library code returns a typed error";
const UNSEEDED: &str = "candle's generator has no seed on the CPU: draw from advect_rng::Stream";
const MACHINE: &str = "names a place on one machine";

const BANS: &[Ban] = &[
    library(".unwrap()", PANIC),
    library(".expect(", PANIC),
    library("panic!(", PANIC),
    library("unreachable!(", PANIC),
    everywhere("todo!(", "finish it or leave it out"),
    everywhere("unimplemented!(", "finish it or leave it out"),
    everywhere("dbg!(", "left over from a search"),
    everywhere("Tensor::rand(", UNSEEDED),
    everywhere("Tensor::randn(", UNSEEDED),
    everywhere("Var::rand(", UNSEEDED),
    everywhere("Var::randn(", UNSEEDED),
    everywhere(".rand_like(", UNSEEDED),
    everywhere(".randn_like(", UNSEEDED),
    everywhere("set_seed(", UNSEEDED),
    everywhere("/root/", MACHINE),
    everywhere("/home/", MACHINE),
    everywhere("/work/", MACHINE),
    Ban {
        text: "unsafe ",
        reason: "only the kernels, the random draws' dispatch and the MuJoCo loader may: see docs/ARCHITECTURE.md",
        allowed: &[
            "crates/advect-kernels/",
            "crates/advect-rng/src/dispatch.rs",
            "crates/advect-envs/src/mujoco/",
            "benches/benches/critic_step.rs", // the matrix product that it compares with takes pointers
        ],
        everywhere: true,
    },
];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 600;

/// Looks through every Rust file but this one.
pub fn check(root: &Path) -> std::io::Result<Vec<String>> {
    let mut broken = Vec::new();
    for (path, text) in workspace::texts(root, "rs")? {
        if path != "xtask/src/tidy/sources.rs" {
            broken.extend(check_file(&path, &text));
        }
    }
    Ok(broken)
}

fn check_file(path: &str, text: &str) -> Vec<String> {
    let code = if is_test_file(path) {
        0
    } else {
        lines_before_tests(text)
    };
    let mut broken = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        let library = index < code && path.starts_with("crates/") && !path.ends_with("main.rs");
        let banned = BANS
            .iter()
            .filter(|ban| (library || ban.everywhere) && ban.hits(path, line));
        broken.extend(
            banned.map(|b| format!("{path}:{}: `{}`: {}", index + 1, b.text.trim(), b.reason)),
        );
    }
    if code > LONGEST_FILE {
        broken.push(format!(
            "{path}: {code} lines without tests, more than {LONGEST_FILE}"
        ));
    }
    broken
}

impl Ban {
    fn hits(&self, path: &str, line: &str) -> bool {
        line.contains(self.text) && !self.allowed.iter().any(|prefix| path.starts_with(prefix))
    }
}

fn is_test_file(path: &str) -> bool {
    let part = |name: &str| path.split('/').any(|part| part == name);
    part("tests") || part("benches") || path.ends_with("tests.rs")
}

/// Number of lines before the inline test module, of all lines if there is none.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let inline_tests = |pair: &[&str]| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    };
    lines
        .windows(2)
        .position(inline_tests)
        .unwrap_or(lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_hold_in_libraries_and_not_in_their_tests() {
        let text = "fn f() {\n    x.unwrap();\n}\n#[cfg(test)]\nmod tests {\n    y.unwrap();\n}\n";
        let broken = check_file("crates/advect-rl/src/replay.rs", text);
        assert_eq!(
            broken,
            [format!(
                "crates/advect-rl/src/replay.rs:2: `.unwrap()`: {PANIC}"
            )]
        );
        assert!(check_file("crates/advect-rl/tests/replay.rs", text).is_empty());
    }

    #[test]
    fn unseeded_draws_are_banned_in_tests_too() {
        let text = "fn f() {\n    Tensor::randn(0f32, 1.0, 3, &device);\n}\n";
        assert_eq!(
            check_file("crates/advect-rl/tests/replay.rs", text).len(),
            1
        );
    }

    #[test]
    fn unsafe_has_its_places() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(check_file("crates/advect-rl/src/replay.rs", text).len(), 1);
        assert!(check_file("crates/advect-envs/src/mujoco/dl.rs", text).is_empty());
        assert!(check_file("crates/advect-kernels/src/simd/mod.rs", text).is_empty());
    }

    #[test]
    fn tests_do_not_count_for_the_length() {
        let tests = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    // a line\n".repeat(700)
        );
        assert!(check_file("crates/advect-rl/src/replay.rs", &tests).is_empty());
        let code = "fn f() {}\n".repeat(601);
        assert_eq!(
            check_file("crates/advect-rl/src/replay.rs", &(code + &tests)).len(),
            1
        );
    }
}
