//! Suggestions for mistyped names.

/// How many suggestions a message holds at most.
const SUGGESTIONS: usize = 3;

/// The names of `known` that are closest to `name` (Jaro-Winkler, case ignored), best first.
///
/// ```
/// let known = ["flame-m", "flame-r", "sac"];
/// assert_eq!(advect::names::nearest("flamem", &known)[0], "flame-m");
/// assert_eq!(advect::names::nearest("SAC", &known)[0], "sac");
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&wanted, &candidate.to_lowercase());
    let mut scored: Vec<(f64, &str)> = known.iter().map(|&k| (score(k), k)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored
        .into_iter()
        .take(SUGGESTIONS)
        .map(|(_, k)| k)
        .collect()
}

/// A name that is not known, with the nearest ones that are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{name}`; the nearest names are {}", list(.nearest))]
pub struct UnknownName {
    /// What kind of name it is: algorithm, environment, setting.
    pub what: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// The nearest known names, best first.
    pub nearest: Vec<String>,
}

impl UnknownName {
    /// The error for `name`, which is none of `known`.
    pub fn new(what: &'static str, name: &str, known: &[&str]) -> Self {
        let nearest = nearest(name, known).into_iter().map(String::from).collect();
        Self {
            what,
            name: name.into(),
            nearest,
        }
    }
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name() {
        let known = ["HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "Pendulum-v1"];
        assert_eq!(nearest("HalfCheeta-v5", &known)[0], "HalfCheetah-v5");
        assert_eq!(nearest("pendulum", &known)[0], "Pendulum-v1");
    }

    #[test]
    fn the_message_lists_the_nearest_names() {
        let error = UnknownName::new("algorithm", "flame", &["sac", "flame-m", "flame-r"]);
        assert_eq!(
            error.to_string(),
            "unknown algorithm `flame`; the nearest names are `flame-m`, `flame-r`, `sac`"
        );
    }
}
