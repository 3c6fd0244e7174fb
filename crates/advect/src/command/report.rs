//! `advect report`.

use super::args::ReportArgs;
use super::{pictures, print};
use advect::algos::registry;
use advect::curves::{self, mean_and_std};
use advect::plot::{Curve, learning_curve, write_svg};
use advect::rl::{RunConfig, run_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Picture of several runs where no other name is given.
const REPORT_FILE: &str = "report.svg";

/// What runs of several seeds have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    env: String,
    /// Algorithm, and in brackets the settings that tell it from other runs of this environment.
    label: String,
}

/// The curves of runs that differ in nothing but their seeds.
type Groups = BTreeMap<Key, Vec<Curve>>;

/// `advect report`: draws the curves of runs and a table of their last evaluations.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    if let ([run], None) = (args.runs.as_slice(), &args.out) {
        let config = run_dir::read_config(run)?;
        print(&pictures::draw_curve(run, &config)?)?;
    }
    let groups = read(args)?;
    if args.runs.len() > 1 || args.out.is_some() {
        let path = args.out.as_deref().unwrap_or(Path::new(REPORT_FILE));
        write_svg(path, &picture(&groups)?)?;
        print(&format!("learning curves: {}", path.display()))?;
    }
    table(&groups).iter().try_for_each(|line| print(line))
}

fn read(args: &ReportArgs) -> anyhow::Result<Groups> {
    let configs: Vec<RunConfig> = args
        .runs
        .iter()
        .map(|run| run_dir::read_config(run))
        .collect::<Result<_, _>>()?;
    let mut groups = Groups::new();
    for (run, config) in args.runs.iter().zip(&configs) {
        let label = label(config, &configs);
        let curve = curves::of_run(run, &label)?;
        let env = config.env.clone();
        groups.entry(Key { env, label }).or_default().push(curve);
    }
    Ok(groups)
}

/// `sac`, or `sac (gamma=0.95)` where the runs of this environment have several values of `gamma` and 0.95 is not the
/// algorithm's default.
fn label(config: &RunConfig, all: &[RunConfig]) -> String {
    let defaults = registry::default_config(&config.algo).unwrap_or_default();
    let beside: Vec<&RunConfig> = all.iter().filter(|other| other.env == config.env).collect();
    let differs = |key: &str, value: &toml::Value| {
        let others = beside.iter().filter_map(|other| other.agent.get(key));
        others.into_iter().any(|other| other != value)
    };
    let settings: Vec<String> = config
        .agent
        .iter()
        .filter(|(key, value)| differs(key, value) && defaults.get(*key) != Some(value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if settings.is_empty() {
        return config.algo.clone();
    }
    format!("{} ({})", config.algo, settings.join(", "))
}

fn picture(groups: &Groups) -> anyhow::Result<String> {
    let envs: BTreeSet<&str> = groups.keys().map(|key| key.env.as_str()).collect();
    let names: Vec<&str> = envs.into_iter().collect();
    let curve = |(key, seeds): (&Key, &Vec<Curve>)| {
        let label = match names.len() {
            1 => key.label.clone(),
            _ => format!("{}, {}", key.label, key.env),
        };
        match seeds.as_slice() {
            [one] => Curve {
                label,
                ..one.clone()
            },
            many => curves::over_seeds(&format!("{label}, {} seeds", many.len()), many),
        }
    };
    let curves: Vec<Curve> = groups.iter().map(curve).collect();
    Ok(learning_curve(&names.join(", "), &curves)?)
}

/// The last evaluations, mean and standard deviation over the seeds.
fn table(groups: &Groups) -> Vec<String> {
    let wide = |of: fn(&Key) -> &str, least: usize| {
        let widths = groups.keys().map(|key| of(key).len());
        widths.max().unwrap_or(0).max(least)
    };
    let (env, label) = (wide(|key| &key.env, 11), wide(|key| &key.label, 9));
    let header = format!(
        "{:<env$} {:<label$} {:>5} {:>12}  final return",
        "environment", "algorithm", "seeds", "steps"
    );
    let row = |(key, seeds): (&Key, &Vec<Curve>)| {
        let last: Vec<_> = seeds
            .iter()
            .filter_map(|seed| seed.evaluations.last())
            .collect();
        let steps = last.iter().map(|point| point.step as u64).min();
        let (mean, std) = mean_and_std(&last.iter().map(|point| point.mean).collect::<Vec<_>>());
        let figures = match (steps, seeds.len()) {
            (None, _) => format!("{:>12}  no evaluation yet", "-"),
            (Some(steps), 1) => format!("{steps:>12}  {mean:.1}"),
            (Some(steps), _) => format!("{steps:>12}  {mean:.1} +- {std:.1}"),
        };
        format!(
            "{:<env$} {:<label$} {:>5} {figures}",
            key.env,
            key.label,
            seeds.len()
        )
    };
    std::iter::once(header)
        .chain(groups.iter().map(row))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use advect::plot::EvaluationPoint;

    fn seed(mean: f64) -> Curve {
        let point = EvaluationPoint {
            step: 500.0,
            mean,
            low: mean,
            high: mean,
        };
        Curve {
            label: "sac".into(),
            training: Vec::new(),
            evaluations: vec![point],
        }
    }

    #[test]
    fn the_table_has_mean_and_deviation_over_seeds() {
        let key = Key {
            env: "Pendulum-v1".into(),
            label: "sac".into(),
        };
        let groups = Groups::from([(key, vec![seed(-100.0), seed(-300.0)])]);
        let lines = table(&groups);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("-200.0 +- 100.0"), "{}", lines[1]);
        assert!(picture(&groups).unwrap().contains("sac, 2 seeds"));
    }

    #[test]
    fn runs_with_other_settings_are_told_apart_by_what_differs() {
        let run = |seed, settings: &str| RunConfig {
            seed,
            agent: settings.parse().unwrap(),
            ..RunConfig::default()
        };
        let all = [
            run(0, "gamma = 0.99\nhidden = [8]"),
            run(1, "gamma = 0.99\nhidden = [8]"),
            run(0, "gamma = 0.5\nhidden = [8]"),
            RunConfig {
                env: "Pendulum-v1".into(),
                ..run(0, "gamma = 0.1\nhidden = [8]")
            },
        ];
        let labels = [0, 1, 2, 3].map(|i| label(&all[i], &all));
        let expected = ["flame-m", "flame-m"];
        assert_eq!(labels[..2], expected);
        assert_eq!(labels[2..], ["flame-m (gamma=0.5)", "flame-m"]);
    }
}
