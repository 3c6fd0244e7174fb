//! The agent: maximum likelihood of the demonstrations' actions.

use std::path::Path;

use advect_kernels::optim::AdamConfig;
use advect_kernels::{Params, random};
use advect_rl::demonstrations::same_demonstrations;
use advect_rl::{
    ActMode, Agent, Batch, Data, Demonstrations, EnvSpec, Learned, LoopSettings, Metrics,
    ObsNormalizer, StateDict, StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::BcConfig;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::gaussian;
use crate::ppo::ActorCritic;
use crate::ppo::actor_critic::Start;

/// A Gaussian policy that imitates demonstrations.
#[derive(Debug)]
pub struct BcAgent {
    config: BcConfig,
    table: toml::Table,
    device: Device,
    net: ActorCritic,
    params: Learned,
    obs_normalizer: ObsNormalizer,
    /// Of the demonstrations; 0 before they are read.
    fingerprint: u64,
    explore: Stream,
}

impl BcAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: BcConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let net = ActorCritic::new(dims, &config.hidden, &config.hidden)?;
        let start = Start {
            log_std: config.init_log_std,
            policy_head: config.policy_head_gain,
            value_head: config.value_head_gain,
        };
        let values = net.init(&start, &mut Stream::new(seed, "bc/init"));
        let params = Params::from_vec(net.layout().clone(), None, values, device)?;
        Ok(Self {
            table: crate::registry::to_table("bc", &config)?,
            params: Learned::new(params, AdamConfig::default())?,
            obs_normalizer: ObsNormalizer::new(dims.obs, config.obs_clip)?,
            fingerprint: 0,
            explore: Stream::new(seed, "bc/explore"),
            device: device.clone(),
            config,
            net,
        })
    }

    /// `-mean log pi(a | s)`.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let params = self.params.params().tensor();
        let obs = self.obs_normalizer.apply(&batch.obs)?;
        let (mean, log_std) = (self.net.mean(params, &obs)?, self.net.log_std(params)?);
        gaussian::log_prob(&batch.act, &mean, &log_std)?
            .mean_all()?
            .neg()
    }
}

impl Agent for BcAgent {
    fn name(&self) -> &'static str {
        "bc"
    }

    fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: 1,
            clip_actions: true,
            data: Data::Demonstrations {
                batch_size: self.config.batch_size,
            },
        }
    }

    /// Observations are normalised by the moments of the demonstrations.
    fn prepare(
        &mut self,
        env: &EnvSpec,
        _: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        if env.image.is_some() {
            return Err(TrainError::Invalid {
                what: "bc".into(),
                problem: "it has no encoder of frames".into(),
                fix: "take `flow-bc`, or an environment without `pixels`".into(),
            });
        }
        let path = Path::new(&self.config.data);
        let demonstrations = Demonstrations::read(path, env, self.config.episodes)?;
        let (obs, width) = demonstrations.obs();
        self.obs_normalizer = ObsNormalizer::new(width, self.config.obs_clip)?;
        let rows = (obs.len() / width, width);
        let obs = Tensor::from_slice(obs, rows, &self.device)?;
        self.obs_normalizer.count(&obs)?;
        self.fingerprint = demonstrations.fingerprint();
        Ok(Some(demonstrations))
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.params.params().detached();
        let mean = self.net.mean(&params, &self.obs_normalizer.apply(obs)?)?;
        if mode == ActMode::Evaluate {
            return Ok(mean);
        }
        let eps = random::normal(&mut self.explore, mean.shape(), &self.device)?;
        gaussian::sample(&mean, &self.net.log_std(&params)?, &eps)
    }

    /// The evaluation action is the mean: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let loss = self.loss(batch)?;
        let norm = self.params.descend(&loss, self.config.lr)?;
        let log_std = self.net.log_std(&self.params.params().detached())?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert_tensor("policy/entropy", &gaussian::entropy(&log_std)?)?;
        metrics.insert_tensor("policy/grad_norm", &norm)?;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("actor_critic", out)?;
        self.obs_normalizer.save("normalizers/obs", out);
        out.put_scalar("demonstrations", self.fingerprint);
        out.put_stream("streams/explore", &self.explore);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        let saved: u64 = from.scalar("demonstrations")?;
        same_demonstrations(saved, self.fingerprint, &self.config.data)?;
        self.fingerprint = saved;
        self.params.load("actor_critic", from)?;
        self.obs_normalizer.load("normalizers/obs", from)?;
        self.explore = from.stream("streams/explore")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        self.params.params().hash()
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
