//! `advect report`.

use super::args::ReportArgs;
use super::{pictures, print};
use advect::curves::{self, mean_and_std};
use advect::plot::{Curve, learning_curve, write_svg};
use advect::rl::{RunConfig, run_dir};
use std::collections::BTreeMap;
use std::path::Path;

/// Picture of several runs where no other name is given.
const REPORT_FILE: &str = "report.svg";

/// Runs that differ in nothing but their seeds, as far as a picture tells them apart: algorithm and environment.
type Groups = BTreeMap<(String, String), Vec<Curve>>;

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
    let mut groups = Groups::new();
    for run in &args.runs {
        let RunConfig { algo, env, .. } = run_dir::read_config(run)?;
        let curve = curves::of_run(run, &algo)?;
        groups.entry((env, algo)).or_default().push(curve);
    }
    Ok(groups)
}

fn picture(groups: &Groups) -> anyhow::Result<String> {
    let envs: std::collections::BTreeSet<&str> =
        groups.keys().map(|(env, _)| env.as_str()).collect();
    let names: Vec<&str> = envs.into_iter().collect();
    let label = |env: &str, algo: &str| {
        if names.len() == 1 {
            algo.to_owned()
        } else {
            format!("{algo}, {env}")
        }
    };
    let curve = |((env, algo), seeds): (&(String, String), &Vec<Curve>)| match seeds.as_slice() {
        [one] => Curve {
            label: label(env, algo),
            ..one.clone()
        },
        many => curves::over_seeds(&format!("{}, {} seeds", label(env, algo), many.len()), many),
    };
    let curves: Vec<Curve> = groups.iter().map(curve).collect();
    Ok(learning_curve(&names.join(", "), &curves)?)
}

/// The last evaluations, mean and standard deviation over the seeds.
fn table(groups: &Groups) -> Vec<String> {
    let header = format!(
        "{:<24} {:<12} {:>5} {:>12}  final return",
        "environment", "algorithm", "seeds", "steps"
    );
    let row = |((env, algo), seeds): (&(String, String), &Vec<Curve>)| {
        let last: Vec<_> = seeds
            .iter()
            .filter_map(|seed| seed.evaluations.last())
            .collect();
        let steps = last.iter().map(|point| point.step as u64).min();
        let (mean, std) = mean_and_std(&last.iter().map(|point| point.mean).collect::<Vec<_>>());
        let figures = match steps {
            Some(steps) => format!("{steps:>12}  {mean:.1} +- {std:.1}"),
            None => format!("{:>12}  no evaluation yet", "-"),
        };
        format!("{env:<24} {algo:<12} {:>5} {figures}", seeds.len())
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
        let key = ("Pendulum-v1".to_owned(), "sac".to_owned());
        let groups = Groups::from([(key, vec![seed(-100.0), seed(-300.0)])]);
        let lines = table(&groups);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("-200.0 +- 100.0"), "{}", lines[1]);
        assert!(picture(&groups).unwrap().contains("sac, 2 seeds"));
    }
}
