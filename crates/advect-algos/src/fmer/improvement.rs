//! The policy's part of an update: candidates of one rollout, regression pairs, entropy (fmer.md sections 3 to 5).

use advect_kernels::random;
use advect_kernels::scalars::Scalar;
use advect_rl::{Batch, Metrics};
use candle_core::{DType, Result, Tensor};

use super::agent::{Fmer, parameters};
use super::entropy::{Density, Local, Nodes, density, unrolled, velocity_and_divergence};
use super::policy::Rollout;
use super::switches::{Divergence, DualEntropy, EntropyMode, LocalNodes};
use super::wcfm::Pairs;
use crate::candidates::{resample, select, select_many};
use crate::off_policy::ActorCritic;
use crate::rows::repeat_rows;
use crate::squash::unsquash;

/// Above this size an action counts as saturated.
const SATURATED: f64 = 0.99;

/// Candidates of a minibatch's states; one rollout serves weights, regression, entropy and metrics.
pub(super) struct Pool {
    /// Source noise of the policy's candidates `[B, K, d]`.
    z: Tensor,
    /// Their trajectories, where somebody takes them.
    nodes: Vec<Tensor>,
    /// Endpoints of all candidates, added ones last `[B, K', d]`.
    latent: Tensor,
    /// `tanh(latent)`.
    pub action: Tensor,
    /// Density of the policy's candidates, one row each, where the weights take it.
    pub density: Option<Density>,
}

/// What an update knows of the entropy; scalars.
pub(super) struct EntropyTerm {
    /// Added to the policy's loss.
    pub loss: Option<Tensor>,
    /// Entropy in nats.
    pub entropy: Tensor,
    /// Estimate of the integral of the divergence.
    pub divergence: Tensor,
}

impl EntropyTerm {
    fn local(local: &Local, alpha: Scalar) -> Result<Self> {
        Ok(Self {
            loss: Some(local.loss(alpha)?),
            ..Self::observed(local)?
        })
    }

    /// The value without a loss.
    fn observed(local: &Local) -> Result<Self> {
        Ok(Self {
            loss: None,
            entropy: local.entropy()?,
            divergence: local.divergence.mean_all()?,
        })
    }
}

impl Fmer {
    /// `K` candidates per state of the anchor policy, and the added ones (section 3.1).
    pub(super) fn candidates(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        mode: EntropyMode,
        metrics: &mut Metrics,
    ) -> Result<Pool> {
        let shape = (
            batch.obs.dim(0)?,
            self.config.num_candidates,
            self.net.act_dim(),
        );
        let z = random::normal(&mut parts.streams.policy, shape, batch.obs.device())?;
        let (Rollout { nodes, end }, density) = self.generate(parts, &batch.obs, &z, mode)?;
        latent_metrics(&end, metrics)?;
        let latent = self.config.sampler().clamp(&end)?;
        let mut latents = vec![latent];
        latents.extend(self.added(parts, &batch.act)?);
        let latent = Tensor::cat(&latents, 1)?;
        Ok(Pool {
            z,
            nodes,
            action: latent.tanh()?,
            latent,
            density,
        })
    }

    fn generate(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        z: &Tensor,
        mode: EntropyMode,
    ) -> Result<(Rollout, Option<Density>)> {
        let params = parameters(parts, self.config.candidate_source).detached();
        let sampler = self.config.sampler();
        if mode != EntropyMode::Weights {
            let keep = self.takes_nodes(mode);
            return Ok((sampler.rollout(&self.net, &params, obs, z, keep)?, None));
        }
        let rows = z.flatten(0, 1)?;
        let density = self.density(parts, &params, &repeat_rows(obs, z.dim(1)?)?, &rows)?;
        let end = density.latent.reshape(z.shape())?;
        let nodes = Vec::new();
        Ok((Rollout { nodes, end }, Some(density)))
    }

    /// Whether the entropy is measured at points of the candidates' trajectories.
    fn takes_nodes(&self, mode: EntropyMode) -> bool {
        match mode {
            EntropyMode::Off => self.observes_h2(),
            EntropyMode::Local => self.config.local_nodes == LocalNodes::Trajectory,
            EntropyMode::Unrolled | EntropyMode::Weights => false,
        }
    }

    /// Whether an entropy that enters nowhere is logged as (H2): as it was measured while it entered.
    fn observes_h2(&self) -> bool {
        let local = matches!(
            self.config.entropy_mode,
            EntropyMode::Local | EntropyMode::Off
        );
        local && self.config.dual_entropy == DualEntropy::H2
    }

    fn density(
        &self,
        parts: &mut ActorCritic,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
    ) -> Result<Density> {
        let probe = self.density_probe(parts, z)?;
        let volume = self.config.log_prob.with(&probe);
        density(&self.net, params, obs, z, self.config.n_steps, volume)
    }

    /// Signs where the log-density takes a probe.
    pub(super) fn density_probe(&self, parts: &mut ActorCritic, like: &Tensor) -> Result<Tensor> {
        if self.config.log_prob.takes_probe() {
            random::rademacher(&mut parts.streams.entropy, like.dims(), like.device())
        } else {
            like.zeros_like()
        }
    }

    /// Signs where a differentiated divergence takes a probe.
    fn divergence_probe(&self, parts: &mut ActorCritic, like: &Tensor) -> Result<Option<Tensor>> {
        match self.config.divergence {
            Divergence::Exact => Ok(None),
            Divergence::Hutchinson => {
                random::rademacher(&mut parts.streams.entropy, like.dims(), like.device()).map(Some)
            }
        }
    }

    /// Latents of candidates that are not the policy's.
    fn added(&self, parts: &mut ActorCritic, replayed: &Tensor) -> Result<Vec<Tensor>> {
        let (rows, d) = replayed.dims2()?;
        let mut actions = Vec::new();
        if self.config.include_replay_action {
            actions.push(replayed.unsqueeze(1)?);
        }
        if self.config.n_uniform > 0 {
            let shape = (rows, self.config.n_uniform, d);
            let stream = &mut parts.streams.policy;
            actions.push(random::uniform(
                stream,
                -1.0,
                1.0,
                shape,
                replayed.device(),
            )?);
        }
        let sampler = self.config.sampler();
        let latents = actions.iter().map(|act| sampler.clamp(&unsquash(act)?));
        latents.collect()
    }

    /// W-CFM and entropy losses, both differentiable in the policy.
    pub(super) fn losses(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        weights: &Tensor,
        mode: EntropyMode,
    ) -> Result<(Tensor, EntropyTerm)> {
        let (pairs, weights) = self.pairs(parts, obs, &pool.latent, weights)?;
        let params = parts.policy.online.params().tensor().clone();
        let shared = self.config.local_nodes == LocalNodes::Interpolants;
        let (v, mut term) = if mode == EntropyMode::Local && shared {
            let probe = self.divergence_probe(parts, &pairs.u_tau)?;
            let Pairs {
                obs, u_tau, tau, ..
            } = &pairs;
            let probe = probe.as_ref();
            let (v, divergence) =
                velocity_and_divergence(&self.net, &params, obs, u_tau, tau, probe)?;
            let local = Local::new(u_tau, &v, divergence)?;
            (v, EntropyTerm::local(&local, self.alpha()?)?)
        } else {
            let v = pairs.velocity(&self.net, &params)?;
            (v, self.entropy_term(parts, obs, pool, &params, mode)?)
        };
        if mode == EntropyMode::Local && self.config.dual_entropy == DualEntropy::H1 {
            term.entropy = self
                .first_density(parts, obs, pool, &params.detach())?
                .entropy;
        }
        Ok((pairs.loss(&v, &weights)?, term))
    }

    /// Regression pairs with their weights: all candidates, or rows drawn by weight (section 4).
    fn pairs(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        latent: &Tensor,
        weights: &Tensor,
    ) -> Result<(Pairs, Tensor)> {
        let (rows, count) = (latent.dim(0)?, self.config.wcfm_rows);
        let device = latent.device();
        let stream = &mut parts.streams.policy;
        let (latent, weights) = if count == 0 {
            (latent.clone(), weights.clone())
        } else {
            let levels = random::uniform(stream, 0.0, 1.0, (rows, count), device)?;
            let drawn = select_many(latent, &resample(weights, &levels)?)?;
            let equal = (count as f64).recip();
            (drawn, (levels.ones_like()? * equal)?)
        };
        let z = random::normal(stream, latent.dims(), device)?;
        let tau = random::uniform(stream, 0.0, 1.0, weights.dims(), device)?;
        Ok((Pairs::new(obs, &latent, &z, &tau)?, weights))
    }

    /// The entropy apart from the regression (section 5).
    fn entropy_term(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        params: &Tensor,
        mode: EntropyMode,
    ) -> Result<EntropyTerm> {
        match (mode, &pool.density) {
            (EntropyMode::Unrolled, _) => self.unrolled_term(parts, obs, pool, params),
            (EntropyMode::Weights, Some(density)) => Ok(EntropyTerm {
                loss: None,
                entropy: density.entropy()?,
                divergence: density.log_volume.mean_all()?,
            }),
            (EntropyMode::Local, _) => {
                let local = self.local(parts, obs, pool, params)?;
                EntropyTerm::local(&local, self.alpha()?)
            }
            _ if self.observes_h2() => {
                EntropyTerm::observed(&self.local(parts, obs, pool, &params.detach())?)
            }
            _ => self.first_density(parts, obs, pool, &params.detach()),
        }
    }

    /// (H1) on one candidate per state, without a loss.
    fn first_density(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        params: &Tensor,
    ) -> Result<EntropyTerm> {
        let first = pool.z.narrow(1, 0, 1)?.squeeze(1)?;
        let density = self.density(parts, params, obs, &first)?;
        Ok(EntropyTerm {
            loss: None,
            entropy: density.entropy()?,
            divergence: density.log_volume.mean_all()?,
        })
    }

    fn local(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        params: &Tensor,
    ) -> Result<Local> {
        let nodes = self.nodes(parts, obs, &pool.nodes)?;
        let probe = self.divergence_probe(parts, &nodes.u)?;
        Local::at(&self.net, params, &nodes, probe.as_ref())
    }

    /// One random point on the trajectory of each of the first `entropy_nodes` candidates.
    fn nodes(&self, parts: &mut ActorCritic, obs: &Tensor, trajectory: &[Tensor]) -> Result<Nodes> {
        let count = self.config.entropy_nodes.min(self.config.num_candidates);
        let steps = trajectory.len();
        let first = |u: &Tensor| u.narrow(1, 0, count);
        let points: Vec<Tensor> = trajectory.iter().map(first).collect::<Result<_>>()?;
        let points = Tensor::stack(&points, 2)?.flatten(0, 1)?;
        let stream = &mut parts.streams.entropy;
        let index = random::indices(stream, steps as u32, points.dim(0)?, points.device())?;
        Ok(Nodes {
            obs: repeat_rows(obs, count)?,
            u: select(&points, &index)?,
            tau: (index.to_dtype(DType::F32)? / steps as f64)?,
        })
    }

    fn unrolled_term(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        pool: &Pool,
        params: &Tensor,
    ) -> Result<EntropyTerm> {
        let rows = self.config.unrolled_states.min(obs.dim(0)?);
        let obs = obs.narrow(0, 0, rows)?;
        let z = pool.z.narrow(1, 0, 1)?.squeeze(1)?.narrow(0, 0, rows)?;
        let probe = self.divergence_probe(parts, &z)?;
        let n_steps = self.config.n_steps;
        let by = self.alpha()?.affine(-1.0, 0.0)?;
        let unrolled = unrolled(&self.net, params, &obs, &z, n_steps, probe.as_ref())?;
        Ok(EntropyTerm {
            loss: Some(by.times(&unrolled.entropy)?),
            entropy: unrolled.entropy,
            divergence: unrolled.divergence,
        })
    }
}

/// Mean and largest |u| before the clamp, and the share of saturated actions.
fn latent_metrics(latent: &Tensor, metrics: &mut Metrics) -> Result<()> {
    let size = latent.abs()?;
    let saturated = size.ge(SATURATED.atanh())?.to_dtype(DType::F32)?;
    metrics.insert_mean("policy/latent_mean", &size)?;
    metrics.insert_tensor("policy/latent_max", &size.max_all()?)?;
    metrics.insert_mean("policy/saturated", &saturated)
}
