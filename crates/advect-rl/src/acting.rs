//! Actions between agent and environment: asked for, checked, clipped where the agent wants it, mapped to the environment's box.

use advect_envs::EnvSpec;
use candle_core::{Device, Tensor};

use crate::agent::{ActMode, Agent};
use crate::error::TrainError;
use crate::settings::LoopSettings;

/// Refuses an environment whose action box is not finite: `[-1, 1]^d` cannot be mapped to it.
pub(crate) fn check_bounds(spec: &EnvSpec) -> Result<(), TrainError> {
    let mut bounds = spec.act_low.iter().zip(&spec.act_high);
    match bounds.position(|(low, high)| !(low.is_finite() && high.is_finite())) {
        None => Ok(()),
        Some(index) => Err(TrainError::Invalid {
            what: format!("environment {}", spec.id),
            problem: format!("the bounds of action {index} are not finite"),
            fix: "wrap it so that its actions have finite bounds".into(),
        }),
    }
}

/// `low + (a + 1)/2 (high - low)` for rows of actions, without clipping.
pub(crate) fn scale_actions(spec: &EnvSpec, act: &[f32], out: &mut [f32]) {
    let bounds = spec.act_low.iter().zip(&spec.act_high).cycle();
    for ((out, a), (low, high)) in out.iter_mut().zip(act).zip(bounds) {
        *out = low + 0.5 * (a + 1.0) * (high - low);
    }
}

/// The inverse of [`scale_actions`], in place; a coordinate whose bounds are equal becomes 0.
pub(crate) fn unscale_actions(spec: &EnvSpec, act: &mut [f32]) {
    let bounds = spec.act_low.iter().zip(&spec.act_high).cycle();
    for (a, (low, high)) in act.iter_mut().zip(bounds) {
        let width = high - low;
        *a = if width > 0.0 {
            2.0 * (*a - low) / width - 1.0
        } else {
            0.0
        };
    }
}

/// Clips actions to `[-1, 1]` in place, if the agent's settings say so.
pub(crate) fn bound_actions(settings: &LoopSettings, act: &mut [f32]) {
    if settings.clip_actions {
        act.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0));
    }
}

/// The actions that the environment is given: [`chosen`], then [`bound_actions`].
pub(crate) fn choose_bounded(
    agent: &mut dyn Agent,
    spec: &EnvSpec,
    obs: Vec<f32>,
    mode: ActMode,
    device: &Device,
) -> Result<Vec<f32>, TrainError> {
    let obs = Tensor::from_vec(obs, ((), spec.obs_dim), device)?;
    let mut act = chosen(agent, spec, &obs, |agent, obs| agent.act(obs, mode))?;
    bound_actions(&agent.loop_settings(), &mut act);
    Ok(act)
}

/// The agent's actions `[n * d]` for observations `[n, o]`, as `act` returned them; the shape is checked.
pub(crate) fn chosen(
    agent: &mut dyn Agent,
    spec: &EnvSpec,
    obs: &Tensor,
    act: impl FnOnce(&mut dyn Agent, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Vec<f32>, TrainError> {
    let (rows, act) = (obs.dim(0)?, act(agent, obs)?);
    if act.dims() != [rows, spec.act_dim] {
        return Err(TrainError::Invalid {
            what: format!("agent {}", agent.name()),
            problem: format!("its actions have the shape {:?}", act.dims()),
            fix: format!(
                "{} takes [{rows}, {}]: build the agent from this environment's spec",
                spec.id, spec.act_dim
            ),
        });
    }
    Ok(act.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_map_affinely_and_are_not_clipped() {
        let mut spec = EnvSpec::symmetric("test", 1, 2, 1.0);
        (spec.act_low, spec.act_high) = (vec![0.0, -2.0], vec![4.0, 2.0]);
        let mut out = [0.0; 6];
        scale_actions(&spec, &[-1.0, -1.0, 1.0, 0.5, 2.0, -3.0], &mut out);
        assert_eq!(out, [0.0, -2.0, 4.0, 1.0, 6.0, -6.0]);
    }

    #[test]
    fn unscaling_is_the_inverse() {
        let mut spec = EnvSpec::symmetric("test", 1, 3, 1.0);
        (spec.act_low, spec.act_high) = (vec![0.0, -2.0, 5.0], vec![4.0, 2.0, 5.0]);
        let mut act = [4.0, -1.0, 5.0];
        unscale_actions(&spec, &mut act);
        assert_eq!(act, [1.0, -0.5, 0.0]);
    }

    #[test]
    fn actions_are_clipped_where_the_agent_wants_it() {
        for (clip_actions, expected) in [(true, [1.0, -1.0, 0.5]), (false, [3.0, -1.5, 0.5])] {
            let settings = LoopSettings {
                num_envs: 1,
                clip_actions,
                data: crate::settings::Data::Rollout { steps: 1, keep: 1 },
            };
            let mut act = [3.0, -1.5, 0.5];
            bound_actions(&settings, &mut act);
            assert_eq!(act, expected);
        }
    }

    #[test]
    fn infinite_bounds_are_refused_by_index() {
        let mut spec = EnvSpec::symmetric("test", 1, 2, 1.0);
        spec.act_high[1] = f32::INFINITY;
        let error = check_bounds(&spec).unwrap_err().to_string();
        assert!(error.contains("bounds of action 1"), "{error}");
    }
}
