//! Noise and times of the losses: where they come from, and what logits are made of them.

use advect_kernels::random;
use advect_rl::{StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::discriminator::{self, Labelled, Losses, Teacher};
use super::query::{Density, Draw};
use super::times;

/// Rows that are given a logit at once.
const ROWS: usize = 4096;

/// The draws of the two losses of a row (fm_irl.md section 7, item 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// One draw for both labels: what their losses have in common cancels.
    Shared,
    /// A draw for each label, as the authors' code.
    Independent,
}

/// How draws are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DrawSettings {
    /// Of the two labels.
    pub noise: Noise,
    /// Times per unit of flow time.
    pub grid: u32,
    /// Draws that a reward's logit is the mean of.
    pub reward_draws: usize,
    /// Width of a row.
    pub width: usize,
}

/// The streams of a discriminator's draws.
#[derive(Debug)]
pub struct Draws {
    settings: DrawSettings,
    device: Device,
    learn: Stream,
    reward: Stream,
}

impl Draws {
    /// Streams `{family}/learn` and `{family}/reward`.
    pub fn new(settings: DrawSettings, family: &str, seed: u64, device: &Device) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("{family}/{name}"));
        Self {
            settings,
            device: device.clone(),
            learn: stream("learn"),
            reward: stream("reward"),
        }
    }

    /// Noise and antithetic times for `rows` rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(&mut self, rows: usize) -> Result<Draw> {
        let DrawSettings { grid, width, .. } = self.settings;
        let mut k = vec![0; rows.div_ceil(2)];
        self.learn.fill_indices(grid, &mut k);
        Ok(Draw {
            x_0: random::normal(&mut self.learn, (rows, width), &self.device)?,
            t: times::antithetic(&k, grid, rows, &self.device)?,
        })
    }

    /// The draws of both labels.
    fn pair(&mut self, rows: usize) -> Result<(Draw, Draw)> {
        let expert = self.draw(rows)?;
        let agent = match self.settings.noise {
            Noise::Shared => expert.clone(),
            Noise::Independent => self.draw(rows)?,
        };
        Ok((expert, agent))
    }

    /// The losses of a discriminator's step on rows of expert and student, at fresh draws; the teacher's term has a draw of its own.
    ///
    /// # Shapes
    /// `expert`, `agent` `[b, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn losses(
        &mut self,
        expert: &Tensor,
        agent: &Tensor,
        density: &impl Density,
        teacher_coef: Option<f64>,
    ) -> Result<Losses> {
        let theirs = self.pair(expert.dim(0)?)?;
        let ours = self.pair(agent.dim(0)?)?;
        let pinned = match teacher_coef {
            Some(coef) => Some((self.draw(expert.dim(0)?)?, coef)),
            None => None,
        };
        let teacher = pinned
            .as_ref()
            .map(|(draw, coef)| Teacher { draw, coef: *coef });
        let (expert, agent) = (labelled(expert, &theirs), labelled(agent, &ours));
        discriminator::losses(density, &expert, &agent, teacher)
    }

    /// Draws for the logits of `rows` rows: the times of a row lie in different parts of the flow time.
    fn reward_draws(&mut self, rows: usize) -> Result<Vec<Draw>> {
        let DrawSettings {
            grid,
            width,
            reward_draws,
            ..
        } = self.settings;
        let mut u = vec![0.0; reward_draws * rows];
        self.reward.fill_uniform(&mut u);
        let t = times::stratified(&u, reward_draws, grid, &self.device)?;
        let one = |i: usize| {
            Ok(Draw {
                x_0: random::normal(&mut self.reward, (rows, width), &self.device)?,
                t: t.narrow(0, i * rows, rows)?,
            })
        };
        (0..reward_draws).map(one).collect()
    }

    /// Logits of rows, each the mean over the draws of a reward.
    ///
    /// # Shapes
    /// `x` `[n, d]` to `n` numbers.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn logits(&mut self, x: &Tensor, density: &impl Density) -> Result<Vec<f32>> {
        let count = x.dim(0)?;
        let mut logits = Vec::with_capacity(count);
        for start in (0..count).step_by(ROWS) {
            let rows = x.narrow(0, start, ROWS.min(count - start))?;
            logits.extend(self.some_logits(&rows, density)?.to_vec1::<f32>()?);
        }
        Ok(logits)
    }

    /// Logits of at most [`ROWS`] rows `[n]`.
    fn some_logits(&mut self, x: &Tensor, density: &impl Density) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let experts = self.reward_draws(rows)?;
        let agents = match self.settings.noise {
            Noise::Shared => experts.clone(),
            Noise::Independent => self.reward_draws(rows)?,
        };
        let mut sum = Tensor::zeros(rows, x.dtype(), &self.device)?;
        for (expert, agent) in experts.iter().zip(&agents) {
            let (l1, l0) = Labelled { x, expert, agent }.losses(density)?;
            sum = ((sum + l0)? - l1)?;
        }
        sum / self.settings.reward_draws as f64
    }

    /// Writes the streams.
    pub fn save(&self, out: &mut StateDict) {
        out.put_stream("streams/learn", &self.learn);
        out.put_stream("streams/reward", &self.reward);
    }

    /// Continues from what [`Draws::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.learn = from.stream("streams/learn")?;
        self.reward = from.stream("streams/reward")?;
        Ok(())
    }
}

/// Rows with their draws.
fn labelled<'a>(x: &'a Tensor, (expert, agent): &'a (Draw, Draw)) -> Labelled<'a> {
    Labelled { x, expert, agent }
}
