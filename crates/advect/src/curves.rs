//! Learning curves of run directories.

use crate::plot::{Curve, EvaluationPoint};
use advect_rl::metrics::{METRICS_FILE, read_metrics};
use advect_rl::{Metrics, RunError};
use std::collections::BTreeMap;
use std::path::Path;

/// The curve of one run from its `metrics.jsonl`: training returns, and evaluations with the bootstrap interval of their mean.
///
/// # Errors
/// If the file is missing or damaged.
pub fn of_run(run: &Path, label: &str) -> Result<Curve, RunError> {
    let lines = read_metrics(&run.join(METRICS_FILE))?;
    let training =
        |(step, metrics): &(u64, Metrics)| Some((*step as f64, metrics.get("train/return_mean")?));
    Ok(Curve {
        label: label.into(),
        training: lines.iter().filter_map(training).collect(),
        evaluations: lines.iter().filter_map(evaluation).collect(),
    })
}

fn evaluation((step, metrics): &(u64, Metrics)) -> Option<EvaluationPoint> {
    Some(EvaluationPoint {
        step: *step as f64,
        mean: metrics.get("eval/return_mean")?,
        low: metrics.get("eval/return_mean_low")?,
        high: metrics.get("eval/return_mean_high")?,
    })
}

/// The mean of several seeds at the steps that all of them evaluated, with a band of one standard deviation over seeds.
///
/// Training returns are left out: seeds finish their episodes at different steps.
///
/// ```
/// use advect::curves::over_seeds;
/// use advect::plot::{Curve, EvaluationPoint};
/// let run = |mean| Curve {
///     evaluations: vec![EvaluationPoint { step: 10.0, mean, low: mean, high: mean }],
///     ..Curve::default()
/// };
/// let mean = over_seeds("sac", &[run(1.0), run(3.0)]).evaluations[0];
/// assert_eq!((mean.low, mean.mean, mean.high), (1.0, 2.0, 3.0));
/// ```
pub fn over_seeds(label: &str, seeds: &[Curve]) -> Curve {
    let mut means: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for point in seeds.iter().flat_map(|seed| &seed.evaluations) {
        means.entry(point.step as u64).or_default().push(point.mean);
    }
    let common = means
        .into_iter()
        .filter(|(_, means)| means.len() == seeds.len());
    let evaluations = common.map(|(step, means)| band(step, &means)).collect();
    Curve {
        label: label.into(),
        training: Vec::new(),
        evaluations,
    }
}

fn band(step: u64, means: &[f64]) -> EvaluationPoint {
    let (mean, std) = mean_and_std(means);
    EvaluationPoint {
        step: step as f64,
        mean,
        low: mean - std,
        high: mean + std,
    }
}

/// Mean and population standard deviation.
pub fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_gives_its_training_and_evaluation_points() {
        let dir = tempfile::tempdir().unwrap();
        let text = concat!(
            "{\"step\":100,\"critic/loss\":0.5,\"train/return_mean\":-3.0}\n",
            "{\"step\":100,\"eval/return_mean\":-2.0,\"eval/return_mean_low\":-2.5,\"eval/return_mean_high\":-1.0}\n",
        );
        std::fs::write(dir.path().join(METRICS_FILE), text).unwrap();
        let curve = of_run(dir.path(), "run").unwrap();
        assert_eq!(curve.training, [(100.0, -3.0)]);
        assert_eq!(
            curve.evaluations,
            [EvaluationPoint {
                step: 100.0,
                mean: -2.0,
                low: -2.5,
                high: -1.0
            }]
        );
    }

    #[test]
    fn only_common_steps_are_averaged() {
        let point = |step: f64, mean: f64| EvaluationPoint {
            step,
            mean,
            low: mean,
            high: mean,
        };
        let curve = |evaluations| Curve {
            evaluations,
            ..Curve::default()
        };
        let seeds = [
            curve(vec![point(1.0, 0.0), point(2.0, 4.0)]),
            curve(vec![point(2.0, 6.0), point(3.0, 1.0)]),
        ];
        let mean = over_seeds("both", &seeds);
        assert_eq!(
            mean.evaluations,
            [EvaluationPoint {
                step: 2.0,
                mean: 5.0,
                low: 4.0,
                high: 6.0
            }]
        );
    }
}
