//! The network as reward model: its steps, the logits of a rollout, and the pairs that the student is pulled to.

use advect_flow::VelocityNet;
use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Params, random};
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::TeacherConfig;
use super::matching::Matching;
use super::teacher;
use crate::dims::Dims;
use crate::imitation::density::{Density, Draws, Label, Query};
use crate::imitation::{ExpertRows, Minibatch, RewardModel, Student, halves};
use crate::networks::drawn;
use crate::ppo::regulariser;

/// Entry of the pool in a checkpoint.
const POOL: &str = "teacher/pool";

/// A velocity network that is teacher, discriminator and regulariser.
#[derive(Debug)]
pub struct FlowTeacher {
    config: TeacherConfig,
    lr: f64,
    dims: Dims,
    device: Device,
    net: VelocityNet,
    params: Learned,
    /// Pairs that minibatches draw from `[pool, o]` and `[pool, d]`.
    pool: Option<(Tensor, Tensor)>,
    draws: Draws,
    generate: Stream,
}

impl FlowTeacher {
    /// A network drawn from `seed` that learns at the rate `lr`.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(
        config: &TeacherConfig,
        lr: f64,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let stream = |name: &str| Stream::new(seed, &format!("fm-irl/{name}"));
        let net = config.network(dims)?;
        let (layout, init) = (net.layout().clone(), Init::XavierUniform);
        let params = drawn(layout, init, 1.0, &mut stream("teacher"), device)?;
        Ok(Self {
            draws: Draws::new(config.draws(dims), "fm-irl", seed, device),
            config: config.clone(),
            lr,
            dims,
            device: device.clone(),
            net,
            params: Learned::new(params, AdamConfig::default())?,
            pool: None,
            generate: stream("generate"),
        })
    }

    fn matching<'a>(&'a self, params: &'a Tensor) -> Matching<'a> {
        self.config.matching(&self.net, params)
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

impl RewardModel for FlowTeacher {
    /// Steps on `l(x_expert | 1)` alone.
    fn warm_up(&mut self, expert: &mut ExpertRows<'_>, means: &mut MeanMetrics) -> Result<()> {
        for _ in 0..self.config.teacher_warmup {
            let x = expert()?;
            let draw = self.draws.draw(x.dim(0)?)?;
            let query = Query {
                x: &x,
                label: Label::Expert,
                draw: &draw,
            };
            let matching = self.matching(self.params.params().tensor());
            let [loss] = matching.losses([query])?;
            let loss = loss.mean_all()?;
            self.params.descend(&loss, self.lr)?;
            means.add_tensor("teacher/warmup_loss", &loss)?;
        }
        Ok(())
    }

    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let matching = self
            .config
            .matching(&self.net, self.params.params().tensor());
        let coef = Some(self.config.teacher_coef);
        let losses = self
            .draws
            .losses(rows.expert, rows.agent, &matching, coef)?;
        let norm = self.params.descend(&losses.total, self.lr)?;
        means.add_tensor("discriminator/grad_norm", &norm)?;
        losses.record(means)
    }

    fn logits(&mut self, x: &Tensor, _: &dyn Student) -> Result<Vec<f32>> {
        let params = self.params.params().detached();
        let matching = self.config.matching(&self.net, &params);
        self.draws.logits(x, &matching)
    }

    fn begin_student(&mut self) -> Result<()> {
        self.pool = match self.config.pool {
            pool if pool > 0 && self.config.pull_coef > 0.0 => Some(self.generate(pool)?),
            _ => None,
        };
        Ok(())
    }

    fn pull(&mut self, student: &dyn Student, means: &mut MeanMetrics) -> Result<Option<Tensor>> {
        if self.config.pull_coef == 0.0 {
            return Ok(None);
        }
        let (obs, act) = self.pairs()?;
        let loss = regulariser::loss(&student.mean(&obs)?, &act)?;
        means.add_tensor("policy/pull", &loss)?;
        Ok(Some((loss * self.config.pull_coef)?))
    }

    fn params(&self) -> &Params {
        self.params.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("teacher", out)?;
        self.draws.save(out);
        out.put_stream("streams/generate", &self.generate);
        let pool = match &self.pool {
            Some((obs, act)) => Tensor::cat(&[obs, act], 1)?.flatten_all()?.to_vec1()?,
            None => Vec::<f32>::new(),
        };
        out.put_vec(POOL, pool);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("teacher", from)?;
        self.draws.load(from)?;
        self.generate = from.stream("streams/generate")?;
        let pool = from.vec::<f32>(POOL)?;
        let (o, d) = (self.dims.obs, self.dims.act);
        self.pool = match pool.len() / (o + d) {
            0 => None,
            rows => {
                let pairs = Tensor::from_slice(pool, (rows, o + d), &self.device)?;
                Some(halves(&pairs, d)?)
            }
        };
        Ok(())
    }
}
