//! The rules, one function each.

use advect_rng::Stream;

use super::rollout::Rollout;
use super::{Bench, Outcome};
use crate::{EnvError, EnvSpec, Step, StepBuffers, VecEnv};

/// What a rule finds; an error of the environment counts as broken.
pub(super) type Rule = fn(&Bench) -> Result<Outcome, EnvError>;

/// Every rule with its name.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("the spec is consistent", spec),
    ("observations and rewards are written and finite", finite),
    ("the same seed gives the same bits", determinism),
    ("a reset leaves nothing of the episode before", reset),
    ("a saved state continues to the same bits", saved),
    ("the time limit truncates, at the spec's step", limit),
    ("a step after the end is refused", after_end),
    ("actions at their bounds are accepted", bounds),
    ("wrong lengths are refused", lengths),
    (
        "a vector equals its environments, on any number of threads",
        vector,
    ),
];

fn failed(why: impl Into<String>) -> Result<Outcome, EnvError> {
    Ok(Outcome::Failed(why.into()))
}

fn spec(bench: &Bench) -> Result<Outcome, EnvError> {
    let env = bench.env()?;
    Ok(match spec_problem(env.spec()) {
        Some(problem) => Outcome::Failed(problem),
        None => Outcome::Passed,
    })
}

/// What is wrong with a spec, if anything is.
fn spec_problem(spec: &EnvSpec) -> Option<String> {
    if spec.id.is_empty() {
        return Some("the id is empty".to_owned());
    }
    if spec.obs_dim == 0 || spec.act_dim == 0 {
        return Some("obs_dim and act_dim have to be at least 1".to_owned());
    }
    let (low, high) = (spec.act_low.len(), spec.act_high.len());
    if low != spec.act_dim || high != spec.act_dim {
        return Some(format!(
            "act_low has {low} and act_high {high} numbers for {} action coordinates",
            spec.act_dim
        ));
    }
    let bounds = spec.act_low.iter().zip(&spec.act_high);
    let inverted = bounds
        .enumerate()
        .find(|(_, (low, high))| !(low.is_finite() && high.is_finite() && low < high));
    if let Some((index, (low, high))) = inverted {
        return Some(format!(
            "action {index} lies between {low} and {high}; bounds have to be finite and low below high"
        ));
    }
    if spec.max_episode_steps == Some(0) {
        return Some("max_episode_steps is 0".to_owned());
    }
    let goal = spec.goal.as_ref()?;
    let outside = goal.achieved.end.max(goal.desired.end) > spec.obs_dim;
    let unequal = goal.achieved.len() != goal.desired.len();
    (outside || unequal).then(|| {
        format!(
            "goals at {:?} and {:?} have to be of one length and inside the {} observed numbers",
            goal.achieved, goal.desired, spec.obs_dim
        )
    })
}

fn finite(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut rollout = bench.rollout()?;
    for step in 0..=bench.settings.steps {
        if let Some(index) = rollout.obs.iter().position(|value| !value.is_finite()) {
            let value = rollout.obs[index];
            return failed(format!(
                "observation[{index}] is {value} after {step} steps: write all of the buffer, in finite numbers"
            ));
        }
        let taken = rollout.step()?;
        if !taken.reward.is_finite() {
            return failed(format!("the reward is {} at step {step}", taken.reward));
        }
    }
    Ok(Outcome::Passed)
}

/// Steps both and says where they part.
fn compare(
    first: &mut Rollout,
    second: &mut Rollout,
    steps: u32,
    cause: &str,
) -> Result<Outcome, EnvError> {
    for step in 0..steps {
        if first.bits() != second.bits() {
            return failed(format!("observations differ after {step} steps: {cause}"));
        }
        let taken: [Step; 2] = [first.step()?, second.step()?];
        if taken[0] != taken[1] {
            let [a, b] = taken;
            return failed(format!("step {step} gives {a:?} and {b:?}: {cause}"));
        }
    }
    Ok(Outcome::Passed)
}

fn determinism(bench: &Bench) -> Result<Outcome, EnvError> {
    let cause = "draw randomness from the stream given to reset alone";
    let (mut first, mut second) = (bench.rollout()?, bench.rollout()?);
    compare(&mut first, &mut second, bench.settings.steps, cause)
}

fn reset(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut used = bench.env()?;
    let mut obs = vec![0.0; used.spec().obs_dim];
    let mut other = Stream::new(bench.settings.seed, "check/other episode");
    used.reset(&mut other, &mut obs)?;
    let middle = middle_of(used.spec());
    for _ in 0..bench.settings.steps.min(50) {
        if used.step(&middle, &mut obs)?.is_last() {
            break;
        }
    }
    let cause = "reset has to set everything that a step reads";
    let (mut first, mut second) = (Rollout::start(used, bench.settings.seed)?, bench.rollout()?);
    compare(&mut first, &mut second, bench.settings.steps, cause)
}

fn middle_of(spec: &EnvSpec) -> Vec<f32> {
    let bounds = spec.act_low.iter().zip(&spec.act_high);
    bounds.map(|(low, high)| 0.5 * (low + high)).collect()
}

fn saved(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut first = bench.rollout()?;
    for _ in 0..bench.settings.steps.min(25) {
        first.step()?;
    }
    let mut second = bench.rollout()?;
    for _ in 0..bench.settings.steps.min(25) {
        second.step()?;
    }
    second.reset()?;
    second.env.load_state(&first.env.save_state())?;
    let middle = middle_of(first.env.spec());
    for step in 0..bench.settings.steps {
        let taken = [
            first.env.step(&middle, &mut first.obs)?,
            second.env.step(&middle, &mut second.obs)?,
        ];
        if taken[0] != taken[1] || first.bits() != second.bits() {
            return failed(format!(
                "{step} steps after load_state the two differ: save everything that a step reads"
            ));
        }
        if taken[0].is_last() {
            break;
        }
    }
    Ok(Outcome::Passed)
}

fn limit(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut rollout = bench.rollout()?;
    let Some(limit) = rollout.env.spec().max_episode_steps else {
        return Ok(Outcome::Skipped("the spec has no limit".to_owned()));
    };
    let mut truncations = 0;
    for _ in 0..bench.settings.steps.max(limit) {
        let step = rollout.step_only()?;
        let taken = rollout.taken;
        if step.truncated != (taken >= limit) {
            return failed(format!(
                "after {taken} steps truncated is {}, the limit is {limit}: wrap it in TimeLimit",
                step.truncated
            ));
        }
        truncations += u32::from(step.truncated);
        if step.is_last() {
            rollout.reset()?;
        }
    }
    if truncations == 0 {
        let why = "every episode of random actions terminated before";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    Ok(Outcome::Passed)
}

fn after_end(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut rollout = bench.rollout()?;
    for _ in 0..bench.settings.steps.max(limit_of(&rollout)) {
        if rollout.step_only()?.is_last() {
            return match rollout.step_only() {
                Err(EnvError::NeedsReset { .. }) => Ok(Outcome::Passed),
                Err(error) => failed(format!("another error than NeedsReset: {error}")),
                Ok(_) => failed("it went on after its end: wrap it in TimeLimit"),
            };
        }
    }
    Ok(Outcome::Skipped("no episode ended".to_owned()))
}

fn limit_of(rollout: &Rollout) -> u32 {
    rollout.env.spec().max_episode_steps.unwrap_or(0)
}

fn bounds(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut rollout = bench.rollout()?;
    let spec = rollout.env.spec();
    for action in [spec.act_low.clone(), spec.act_high.clone()] {
        rollout.reset()?;
        let step = rollout.env.step(&action, &mut rollout.obs)?;
        if !step.reward.is_finite() || rollout.obs.iter().any(|value| !value.is_finite()) {
            return failed(format!(
                "action {action:?} leads to a number that is not finite"
            ));
        }
    }
    Ok(Outcome::Passed)
}

fn lengths(bench: &Bench) -> Result<Outcome, EnvError> {
    let mut rollout = bench.rollout()?;
    let (action, mut obs) = (rollout.action.clone(), rollout.obs.clone());
    let mut long = obs.clone();
    long.push(0.0);
    let env = &mut rollout.env;
    let tried = [
        ("a short action", env.step(&action[1..], &mut obs).err()),
        ("a long observation", env.step(&action, &mut long).err()),
        (
            "a long observation at reset",
            env.reset(&mut Stream::new(0, "check/lengths"), &mut long)
                .err(),
        ),
    ];
    for (what, error) in tried {
        if !matches!(error, Some(EnvError::BadLength { .. })) {
            return failed(format!(
                "{what} is taken: call check_action and check_obs of the spec first"
            ));
        }
    }
    Ok(Outcome::Passed)
}

fn vector(bench: &Bench) -> Result<Outcome, EnvError> {
    const ENVS: usize = 3;
    let mut results = Vec::new();
    for threads in [1, 2] {
        let envs = VecEnv::new(|_| bench.env(), ENVS, threads, bench.settings.seed)?;
        results.push(vector_rows(bench, envs)?);
    }
    if results[0] != results[1] {
        return failed("one and two threads differ: environments share something that changes");
    }
    Ok(Outcome::Passed)
}

/// What a vector returns over some random actions.
fn vector_rows(bench: &Bench, mut envs: VecEnv) -> Result<Vec<StepBuffers>, EnvError> {
    let spec = envs.spec().clone();
    let mut actions = Stream::new(bench.settings.seed, "check/vector");
    let mut rows = Vec::new();
    let mut out = envs.buffers();
    envs.reset(&mut out)?;
    for _ in 0..bench.settings.steps.min(200) {
        let mut action = Vec::new();
        for _ in 0..envs.len() {
            let pairs = spec.act_low.iter().zip(&spec.act_high);
            action
                .extend(pairs.map(|(low, high)| low + (high - low) * actions.uniform_f64() as f32));
        }
        envs.step(&action, &mut out)?;
        rows.push(out.clone());
    }
    Ok(rows)
}
