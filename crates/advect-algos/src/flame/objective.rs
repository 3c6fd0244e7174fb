//! FLAME's objective: proposals for noised replayed actions, reweighted by their values; steps 3, 5 and 6 of flame.md section 8.

use advect_flow::TimeConvention;
use advect_flow::meanflow::tie_fraction;
use advect_kernels::scalars::Scalar;
use advect_kernels::{ensemble, random};
use advect_rl::Metrics;
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::{FlameConfig, LossRows, TdEntropy, Trace, Variant};
use super::critic::soft_value;
use super::entropy::{Estimator, mean_flow_entropy, rectified_flow_entropy};
use super::proposals::{ProposalNoise, Proposals, propose};
use super::{policy_m, policy_r};
use crate::candidates::{effective_fraction, softmax_weights};
use crate::flow_times;
use crate::generator::Generator;
use crate::noisy_best_of::{EntropyOf, FlowPolicy, LossInputs, NextStates, Objective, States};

/// Q-reweighted flow matching with an entropy estimate.
#[derive(Debug, Clone)]
pub struct Reweighted {
    variant: Variant,
    config: FlameConfig,
}

/// Flow times of a policy loss: `tau` for FLAME-R, `(r, t)` for FLAME-M.
struct Times {
    r: Option<Tensor>,
    t: Tensor,
}

impl Reweighted {
    /// The objective of a checked configuration.
    pub fn new(variant: Variant, config: FlameConfig) -> Self {
        Self { variant, config }
    }

    fn draw_times(&self, rows: usize, stream: &mut Stream, device: &Device) -> Result<Times> {
        let sampler = self.config.sampler();
        if self.variant == Variant::R {
            let t = flow_times::single(sampler, rows, stream, device)?;
            return Ok(Times { r: None, t });
        }
        let (r, t) = flow_times::pair(sampler, rows, stream, device)?;
        let fraction = self.config.meanflow_r_eq_t_frac;
        if fraction == 0.0 {
            return Ok(Times { r: Some(r), t });
        }
        let coins = random::uniform(stream, 0.0, 1.0, rows, device)?;
        let r = tie_fraction(&r, &t, &coins, fraction)?;
        Ok(Times { r: Some(r), t })
    }

    /// Step 5: noised actions, proposals, their scores under the online critics and weights.
    fn propose(
        &self,
        inputs: &LossInputs<'_>,
        times: &Times,
        stream: &mut Stream,
    ) -> Result<(Proposals, Tensor)> {
        let ((rows, d), device) = (inputs.act.dims2()?, inputs.act.device());
        let shape = (rows, self.config.num_proposals, d);
        let noise = ProposalNoise {
            eps0: random::normal(stream, (rows, d), device)?,
            levels: random::uniform(stream, 0.0, 1.0, shape, device)?,
        };
        let path = self.config.path(self.variant);
        let proposals = propose(path, inputs.act, &times.t, &noise, self.config.clip_z)?;
        let (net, critics) = (inputs.critic.net(), inputs.critic.online().detached());
        let q = net.q_candidates(&critics, inputs.obs, &proposals.act, inputs.precision)?;
        let weights = softmax_weights(&q, &self.config.weight_temperature(inputs.alpha)?)?;
        Ok((proposals, weights))
    }

    /// The regression of either variant on shared or repeated rows (step 6).
    fn regression(
        &self,
        generator: &Generator,
        inputs: &LossInputs<'_>,
        times: &Times,
        (proposals, weights): (&Proposals, &Tensor),
    ) -> Result<Tensor> {
        let LossInputs { params, obs, .. } = *inputs;
        let (z, t) = (&proposals.z, &times.t);
        let shared = self.config.policy_loss_rows == LossRows::Shared;
        match generator {
            Generator::M(net) => {
                let span = (times.r.as_ref().unwrap_or(t), t);
                if !shared {
                    return policy_m::row_loss(net, params, obs, span, proposals, weights);
                }
                let v_bar = proposals.mean_velocity(TimeConvention::NoiseUp, weights)?;
                let adaptive = self.config.adaptive_weight;
                let adaptive_c = adaptive.then_some(self.config.adaptive_c);
                let loss = policy_m::shared_loss(net, params, obs, z, span, &v_bar, adaptive_c)?;
                Ok(loss.loss)
            }
            Generator::R(net) => {
                let loss = if shared {
                    let u_bar = proposals.mean_velocity(TimeConvention::DataUp, weights)?;
                    policy_r::shared_loss(net, params, obs, z, t, &u_bar)?
                } else {
                    policy_r::row_loss(net, params, obs, t, proposals, weights)?
                };
                let (reduction, k) = (self.config.k_reduction, self.config.num_proposals);
                loss * policy_r::reduction_factor(reduction, k)
            }
        }
    }

    /// The extra term of eq. (7), FLAME-M with `dpg_coef > 0`.
    fn dpg_loss(
        &self,
        policy: &FlowPolicy,
        inputs: &LossInputs<'_>,
        stream: &mut Stream,
    ) -> Result<Option<Tensor>> {
        let Generator::M(net) = &policy.generator else {
            return Ok(None);
        };
        if self.config.dpg_coef == 0.0 {
            return Ok(None);
        }
        let LossInputs { params, obs, .. } = *inputs;
        let xi = random::normal(stream, inputs.act.dims(), obs.device())?;
        let (critic, critics) = (inputs.critic.net(), inputs.critic.target().detached());
        let std = policy.base_std;
        let dpg = policy_m::dpg_loss(net, params, critic, &critics, obs, &xi, std)?;
        Ok(Some(dpg.loss))
    }

    fn estimator(&self) -> Estimator {
        let FlameConfig {
            entropy,
            trace,
            n_ent,
            ..
        } = self.config;
        Estimator {
            entropy,
            trace,
            n_ent,
        }
    }

    fn probe(&self, like: &Tensor, stream: &mut Stream) -> Result<Tensor> {
        match (self.estimator().takes_probe(), self.config.trace) {
            (false, _) => like.zeros_like(),
            (true, Trace::Rademacher) => random::rademacher(stream, like.dims(), like.device()),
            (true, _) => random::normal(stream, like.dims(), like.device()),
        }
    }
}

impl Objective<FlowPolicy> for Reweighted {
    fn repeats(&self) -> bool {
        true
    }

    fn states(&self) -> States {
        States::Replayed
    }

    fn entropy_of(&self) -> EntropyOf {
        EntropyOf::Policy
    }

    /// `H'`, only where the critic's target or the temperature takes it (step 3).
    fn next_entropy(
        &self,
        policy: &FlowPolicy,
        next: NextStates<'_>,
        stream: &mut Stream,
    ) -> Result<Option<Tensor>> {
        if self.config.td_entropy == TdEntropy::Omit && !next.temperature_due {
            return Ok(None);
        }
        let NextStates {
            params, obs, act, ..
        } = next;
        let estimator = self.estimator();
        let entropy = match &policy.generator {
            Generator::M(net) => {
                let z_1 = random::normal(stream, act.dims(), act.device())?;
                let probe = self.probe(&z_1, stream)?;
                mean_flow_entropy(net, params, obs, &z_1, &probe, estimator)
            }
            Generator::R(net) => {
                let probe = self.probe(act, stream)?;
                rectified_flow_entropy(net, params, obs, act, &probe, estimator)
            }
        };
        entropy.map(Some)
    }

    fn next_value(
        &self,
        q_next: Tensor,
        entropy: Option<&Tensor>,
        alpha: &Scalar,
    ) -> Result<Tensor> {
        let mode = self.config.td_entropy;
        if mode == TdEntropy::Omit {
            return Ok(q_next);
        }
        soft_value(&ensemble::minimum(&q_next)?, entropy, alpha, mode)
    }

    fn loss(
        &self,
        policy: &FlowPolicy,
        inputs: &LossInputs<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let times = self.draw_times(inputs.obs.dim(0)?, stream, inputs.obs.device())?;
        let (proposals, weights) = self.propose(inputs, &times, stream)?;
        metrics.insert_tensor("policy/weight_ess", &effective_fraction(&weights)?)?;
        let generator = &policy.generator;
        let loss = self.regression(generator, inputs, &times, (&proposals, &weights))?;
        let Some(dpg) = self.dpg_loss(policy, inputs, stream)? else {
            return Ok(loss);
        };
        metrics.insert_tensor("policy/dpg_loss", &dpg)?;
        loss + (dpg * self.config.dpg_coef)?
    }
}
