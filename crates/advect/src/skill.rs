//! Agents of a chosen skill: one of a run's checkpoints, by its evaluations.

use crate::curves;
use crate::plot::EvaluationPoint;
use advect_rl::{RunError, checkpoint};
use std::path::{Path, PathBuf};

/// How good an agent is, as D4RL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skill {
    /// A third of the way from the first evaluation of the run to the best.
    Medium,
    /// The best.
    Expert,
}

/// Why there is no agent of this skill.
#[derive(Debug, thiserror::Error)]
pub enum SkillError {
    /// The run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No checkpoint was evaluated.
    #[error(
        "{} has no checkpoint at a step that was evaluated; train with eval_every equal to checkpoint_every, and \
         keep_checkpoints large enough to keep them all",
        path.display()
    )]
    NotEvaluated {
        /// The run directory.
        path: PathBuf,
    },
}

/// The step of the checkpoint whose evaluation is nearest to `skill`.
///
/// # Errors
/// [`SkillError`].
pub fn checkpoint_of(run: &Path, skill: Skill) -> Result<u64, SkillError> {
    let evaluations = curves::of_run(run, "")?.evaluations;
    let steps = checkpoint::steps(run)?;
    nearest(&evaluations, &steps, skill).ok_or_else(|| SkillError::NotEvaluated {
        path: run.to_owned(),
    })
}

fn nearest(evaluations: &[EvaluationPoint], steps: &[u64], skill: Skill) -> Option<u64> {
    let best = evaluations.iter().map(|e| e.mean).max_by(f64::total_cmp)?;
    let first = evaluations.first()?.mean;
    let target = match skill {
        Skill::Medium => first + (best - first) / 3.0,
        Skill::Expert => best,
    };
    let kept = evaluations
        .iter()
        .filter(|e| steps.contains(&(e.step as u64)));
    let off = |e: &&EvaluationPoint| (e.mean - target).abs();
    let chosen = kept.min_by(|a, b| off(a).total_cmp(&off(b)))?;
    Some(chosen.step as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluations(means: &[f64]) -> Vec<EvaluationPoint> {
        let point = |(index, mean): (usize, &f64)| EvaluationPoint {
            step: 10.0 * (index + 1) as f64,
            mean: *mean,
            low: *mean,
            high: *mean,
        };
        means.iter().enumerate().map(point).collect()
    }

    #[test]
    fn medium_is_a_third_of_the_way_also_where_returns_are_negative() {
        let points = evaluations(&[-900.0, -700.0, -580.0, -300.0, 0.0, -100.0]);
        let all = [10, 20, 30, 40, 50, 60];
        assert_eq!(nearest(&points, &all, Skill::Medium), Some(30));
        assert_eq!(nearest(&points, &all, Skill::Expert), Some(50));
        assert_eq!(nearest(&points, &[10, 40, 60], Skill::Expert), Some(60));
        assert_eq!(nearest(&points, &[15], Skill::Expert), None);
        assert_eq!(nearest(&[], &all, Skill::Medium), None);
    }
}
