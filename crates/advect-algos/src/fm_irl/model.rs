//! The network as reward model: its steps, the logits of a rollout, and the pairs that the student is pulled to.

use advect_flow::VelocityNet;
use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Params, random};
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::{FmIrlConfig, Noise};
use super::discriminator::{self, Labelled};
use super::matching::{Draw, Label, Matching, Query};
use super::{teacher, times};
use crate::dims::Dims;
use crate::imitation::{ExpertRows, RewardModel};
use crate::networks::drawn;
use crate::ppo::{ActorCritic, regulariser};

/// Rows that are given a logit at once.
const ROWS: usize = 4096;

/// A velocity network that is teacher, discriminator and regulariser.
#[derive(Debug)]
pub struct FlowTeacher {
    config: FmIrlConfig,
    dims: Dims,
    device: Device,
    net: VelocityNet,
    params: Learned,
    /// Pairs of the present rollout `[pool, o]` and `[pool, d]`.
    pool: Option<(Tensor, Tensor)>,
    learn: Stream,
    reward: Stream,
    generate: Stream,
}

impl FlowTeacher {
    /// A network drawn from `seed`.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(config: &FmIrlConfig, dims: Dims, seed: u64, device: &Device) -> Result<Self> {
        let stream = |name: &str| Stream::new(seed, &format!("fm-irl/{name}"));
        let net = config.network(dims)?;
        let (layout, init) = (net.layout().clone(), Init::XavierUniform);
        let params = drawn(layout, init, 1.0, &mut stream("teacher"), device)?;
        Ok(Self {
            config: config.clone(),
            dims,
            device: device.clone(),
            net,
            params: Learned::new(params, AdamConfig::default())?,
            pool: None,
            learn: stream("learn"),
            reward: stream("reward"),
            generate: stream("generate"),
        })
    }

    fn matching<'a>(&'a self, params: &'a Tensor) -> Matching<'a> {
        Matching {
            net: &self.net,
            params,
            label_dim: self.config.label_dim,
        }
    }

    /// Noise and antithetic times for `rows` rows.
    fn draw(&mut self, rows: usize) -> Result<Draw> {
        let mut k = vec![0; rows.div_ceil(2)];
        let grid = self.config.fm_num_steps;
        self.learn.fill_indices(grid, &mut k);
        let shape = (rows, self.dims.obs + self.dims.act);
        Ok(Draw {
            x_0: random::normal(&mut self.learn, shape, &self.device)?,
            t: times::antithetic(&k, grid, rows, &self.device)?,
        })
    }

    /// The draws of both labels.
    fn draws(&mut self, rows: usize) -> Result<(Draw, Draw)> {
        let expert = self.draw(rows)?;
        let agent = match self.config.noise {
            Noise::Shared => expert.clone(),
            Noise::Independent => self.draw(rows)?,
        };
        Ok((expert, agent))
    }

    /// Draws for the logits of `rows` rows: the times of a row lie in different parts of the flow time.
    fn reward_draws(&mut self, rows: usize) -> Result<Vec<Draw>> {
        let draws = self.config.reward_draws;
        let mut u = vec![0.0; draws * rows];
        self.reward.fill_uniform(&mut u);
        let t = times::stratified(&u, draws, self.config.fm_num_steps, &self.device)?;
        let shape = (rows, self.dims.obs + self.dims.act);
        let one = |i: usize| {
            Ok(Draw {
                x_0: random::normal(&mut self.reward, shape, &self.device)?,
                t: t.narrow(0, i * rows, rows)?,
            })
        };
        (0..draws).map(one).collect()
    }

    /// Logits of at most [`ROWS`] rows `[n]`.
    fn some_logits(&mut self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let experts = self.reward_draws(rows)?;
        let agents = match self.config.noise {
            Noise::Shared => experts.clone(),
            Noise::Independent => self.reward_draws(rows)?,
        };
        let params = self.params.params().detached();
        let mut sum = Tensor::zeros(rows, x.dtype(), &self.device)?;
        for (expert, agent) in experts.iter().zip(&agents) {
            let (l1, l0) = Labelled { x, expert, agent }.losses(&self.matching(&params))?;
            sum = ((sum + l0)? - l1)?;
        }
        sum / self.config.reward_draws as f64
    }

    /// Pairs of the teacher `[n, o]` and `[n, d]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn generate(&mut self, n: usize) -> Result<(Tensor, Tensor)> {
        let shape = (n, self.dims.obs + self.dims.act);
        let x_0 = random::normal(&mut self.generate, shape, &self.device)?;
        let params = self.params.params().detached();
        let (n_steps, precision) = (self.config.n_steps, self.config.sampling.into());
        let matching = self.matching(&params);
        teacher::generate(&matching, &x_0, n_steps, self.dims.obs, precision)
    }

    /// The pairs of one minibatch of the student.
    fn pairs(&mut self) -> Result<(Tensor, Tensor)> {
        let rows = self.config.pull_batch;
        let Some((obs, act)) = &self.pool else {
            return self.generate(rows);
        };
        let count = obs.dim(0)?;
        let index = random::indices(&mut self.generate, count as u32, rows, &self.device)?;
        Ok((obs.index_select(&index, 0)?, act.index_select(&index, 0)?))
    }
}

/// Rows with their draws.
fn labelled<'a>(x: &'a Tensor, (expert, agent): &'a (Draw, Draw)) -> Labelled<'a> {
    Labelled { x, expert, agent }
}

impl RewardModel for FlowTeacher {
    /// Steps on `l(x_expert | 1)` alone.
    fn warm_up(&mut self, expert: &mut ExpertRows<'_>, means: &mut MeanMetrics) -> Result<()> {
        for _ in 0..self.config.teacher_warmup {
            let x = expert()?;
            let draw = self.draw(x.dim(0)?)?;
            let query = Query {
                x: &x,
                label: Label::Expert,
                draw: &draw,
            };
            let [loss] = self
                .matching(self.params.params().tensor())
                .losses([query])?;
            let loss = loss.mean_all()?;
            self.params.descend(&loss, self.config.imitation.disc_lr)?;
            means.add_tensor("teacher/warmup_loss", &loss)?;
        }
        Ok(())
    }

    fn learn(&mut self, expert: &Tensor, agent: &Tensor, means: &mut MeanMetrics) -> Result<()> {
        let theirs = self.draws(expert.dim(0)?)?;
        let ours = self.draws(agent.dim(0)?)?;
        let pinned = self.draw(expert.dim(0)?)?;
        let losses = discriminator::losses(
            &self.matching(self.params.params().tensor()),
            &labelled(expert, &theirs),
            &labelled(agent, &ours),
            &pinned,
            self.config.teacher_coef,
        )?;
        let lr = self.config.imitation.disc_lr;
        let norm = self.params.descend(&losses.total, lr)?;
        means.add("discriminator/grad_norm", norm);
        means.add_tensor("discriminator/expert_loss", &losses.expert)?;
        means.add_tensor("discriminator/agent_loss", &losses.agent)?;
        means.add_tensor(
            "discriminator/expert_logit",
            &losses.logit_expert.mean_all()?,
        )?;
        means.add_tensor("discriminator/agent_logit", &losses.logit_agent.mean_all()?)?;
        means.add_tensor("teacher/loss", &losses.teacher)
    }

    fn logits(&mut self, x: &Tensor) -> Result<Vec<f32>> {
        let count = x.dim(0)?;
        let mut logits = Vec::with_capacity(count);
        for start in (0..count).step_by(ROWS) {
            let rows = x.narrow(0, start, ROWS.min(count - start))?;
            logits.extend(self.some_logits(&rows)?.to_vec1::<f32>()?);
        }
        Ok(logits)
    }

    fn begin_student(&mut self) -> Result<()> {
        self.pool = match self.config.pool {
            pool if pool > 0 && self.config.pull_coef > 0.0 => Some(self.generate(pool)?),
            _ => None,
        };
        Ok(())
    }

    fn pull(
        &mut self,
        student: &ActorCritic,
        params: &Tensor,
        means: &mut MeanMetrics,
    ) -> Result<Option<Tensor>> {
        if self.config.pull_coef == 0.0 {
            return Ok(None);
        }
        let (obs, act) = self.pairs()?;
        let loss = regulariser::loss(&student.mean(params, &obs)?, &act)?;
        means.add_tensor("policy/pull", &loss)?;
        Ok(Some((loss * self.config.pull_coef)?))
    }

    fn params(&self) -> &Params {
        self.params.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("teacher", out)?;
        out.put_stream("streams/learn", &self.learn);
        out.put_stream("streams/reward", &self.reward);
        out.put_stream("streams/generate", &self.generate);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("teacher", from)?;
        self.learn = from.stream("streams/learn")?;
        self.reward = from.stream("streams/reward")?;
        self.generate = from.stream("streams/generate")?;
        Ok(())
    }
}
