//! The agent: regression on the demonstrations, and the averaged weights that act.

use std::path::Path;

use advect_flow::TimeConvention;
use advect_flow::flow_matching::regression_loss;
use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Params, random};
use advect_rl::demonstrations::same_demonstrations;
use advect_rl::{
    ActMode, Agent, Averaged, Batch, Data, Demonstrations, EnvSpec, LoopSettings, Metrics,
    StateDict, StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::FlowBcConfig;
use crate::dims::{Dims, Task};
use crate::error::AlgoError;
use crate::flow_actor::FlowActor;
use crate::min_max::MinMax;
use crate::networks::drawn;
use crate::normals::Normals;

/// A flow policy that imitates demonstrations.
#[derive(Debug)]
pub struct FlowBcAgent {
    config: FlowBcConfig,
    table: toml::Table,
    dims: Dims,
    device: Device,
    actor: FlowActor,
    policy: Averaged,
    /// Of the demonstrations; 0 before they are read.
    fingerprint: u64,
    learn: Stream,
    explore: Stream,
    evaluation: Stream,
}

impl FlowBcAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: FlowBcConfig,
        task: Task,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("flow-bc", &config)?;
        let actor = FlowActor::new(task, &config.network, &config.image, config.n_steps)?
            .clipped(config.obs_clip);
        let mut stream = Stream::new(seed, "flow-bc/init");
        let policy = drawn(actor.layout(), Init::FanInUniform, 1.0, &mut stream, device)?;
        let adam = AdamConfig {
            weight_decay: config.weight_decay,
            ..AdamConfig::default()
        };
        Ok(Self {
            actor,
            policy: Averaged::new(policy, adam)?,
            fingerprint: 0,
            learn: Stream::new(seed, "flow-bc/learn"),
            explore: Stream::new(seed, "flow-bc/explore"),
            evaluation: Stream::new(seed, "flow-bc/evaluation"),
            device: device.clone(),
            config,
            table,
            dims: task.dims,
        })
    }

    /// The averaged parameters, which act.
    pub fn average_policy(&self) -> &Params {
        self.policy.average()
    }

    /// `mean (v(x, tau, s) - (a - z))^2`, `x = (1 - tau) z + tau a`, `tau` uniform; frames are shifted at random.
    fn loss(&mut self, batch: &Batch) -> Result<Tensor> {
        let (obs, pad) = (self.actor.scaled(&batch.obs)?, self.config.image_shift);
        let obs = self.actor.encoder.shifted(&obs, pad, &mut self.learn)?;
        let act = self.actor.act.normalise(&batch.act)?;
        let z = random::normal(&mut self.learn, act.shape(), &self.device)?;
        let rows = act.dim(0)?;
        let tau = random::uniform(&mut self.learn, 0.0, 1.0, rows, &self.device)?;
        let path = TimeConvention::DataUp;
        let x = path.interpolate(&act, &z, &tau)?;
        let params = self.policy.online.params().tensor();
        let (states, velocity) = (
            self.actor.states(params, &obs)?,
            self.actor.velocity_params(params)?,
        );
        let v = self.actor.net.forward(&velocity, &states, &x, [&tau])?;
        regression_loss(&v, &path.velocity(&act, &z)?)
    }

    fn update_average(&self) -> Result<()> {
        let updates = self.policy.online.steps();
        if updates <= self.config.ema_start {
            return self.policy.update_average(1.0);
        }
        match updates.is_multiple_of(self.config.ema_every) {
            true => self.policy.update_average(self.config.ema_tau),
            false => Ok(()),
        }
    }
}

impl Agent for FlowBcAgent {
    fn name(&self) -> &'static str {
        "flow-bc"
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

    fn takes_frames(&self) -> bool {
        true
    }

    fn prepare(
        &mut self,
        env: &EnvSpec,
        _: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        let path = Path::new(&self.config.data);
        let demonstrations = Demonstrations::read(path, env, self.config.episodes)?;
        let ((obs, obs_dim), (act, act_dim)) = (demonstrations.obs(), demonstrations.act());
        self.actor.obs = MinMax::of(obs, obs_dim);
        self.actor.act = MinMax::of(act, act_dim)
            .widened()
            .repeated(demonstrations.chunk());
        self.fingerprint = demonstrations.fingerprint();
        Ok(Some(demonstrations))
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let shape = (obs.dim(0)?, self.dims.act);
        let x_0 = match mode {
            ActMode::Evaluate if self.config.zero_noise_eval => {
                Tensor::zeros(shape, obs.dtype(), &self.device)?
            }
            ActMode::Evaluate => {
                Normals::per_observation(&self.evaluation, obs)?.draw(shape, &self.device)?
            }
            ActMode::Explore => random::normal(&mut self.explore, shape, &self.device)?,
        };
        self.actor.act(&self.policy.average().detached(), obs, &x_0)
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let loss = self.loss(batch)?;
        let schedule = self.config.schedule();
        let norm = self.policy.online.descend(&loss, schedule)?;
        self.update_average()?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert_tensor("policy/grad_norm", &norm)?;
        metrics.insert_scalar("policy/lr", &self.policy.online.rate()?)?;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.policy.save("policy", out)?;
        self.actor.save(out);
        out.put_scalar("demonstrations", self.fingerprint);
        out.put_stream("streams/learn", &self.learn);
        out.put_stream("streams/explore", &self.explore);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        let saved: u64 = from.scalar("demonstrations")?;
        same_demonstrations(saved, self.fingerprint, &self.config.data)?;
        self.fingerprint = saved;
        self.policy.load("policy", from)?;
        self.actor.load(from)?;
        self.learn = from.stream("streams/learn")?;
        self.explore = from.stream("streams/explore")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined(self.policy.buffers())
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
